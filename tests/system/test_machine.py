"""Cores that may be used, by affinity and by a container's quota."""

import os
from pathlib import Path

import pytest

from probe.system import machine


@pytest.mark.parametrize(
    ("quota", "found"), [("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), (None, 6)]
)
def test_cores_are_those_of_the_affinity_and_of_the_quota(
    quota: str | None, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    if quota:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert machine.cores() == found


def test_without_an_affinity_all_cores_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "none")
    assert machine.cores() == 5
