"""A short campaign: real processes are killed at random moments, and nothing is lost."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import ROUNDING, SUMS, sound
from benchmarks.kills import Outcome, _deviation
from tests.warm import Warm


@pytest.mark.campaign
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for there")
def test_runs_that_are_killed_end_as_one_that_was_not(program: Warm, tmp_path: Path) -> None:
    program.run(
        [sys.executable, "-m", "benchmarks.faults", "--times", "2", "--ranks", "2", "1", "3",
         "--shape", "none", "--results", str(tmp_path)],
    )  # fmt: skip
    runs = json.loads((tmp_path / "faults-cpu.json").read_text())["measured"]["runs"]
    assert sum(len(run["kills"]) for run in runs) == 2
    for run in runs:
        assert run["faults"] == []
        assert run["sums"] <= SUMS
        assert run["matrices"] <= ROUNDING
    assert "2 of 2 kills left nothing wrong" in (tmp_path / "faults-cpu.md").read_text()


@pytest.mark.parametrize(
    ("change", "good"),
    [({}, True), ({"sums": 2e-12}, False), ({"matrices": 2e-7}, False), ({"faults": ["a"]}, False)],
)
def test_a_run_is_sound_within_the_bars(change: dict[str, object], good: bool) -> None:
    assert sound(Outcome(**{"sums": 1e-15, "matrices": 0.0, **change})) is good  # type: ignore[arg-type]
    assert not sound(Outcome()), "it never came to its end"


def test_deviations_are_of_the_largest_entry_and_counts_are_equal() -> None:
    expected = np.array([4.0, -8.0])
    assert _deviation(expected + np.array([0, 1e-9]), expected) == pytest.approx(1.25e-10, rel=1e-6)
    assert _deviation(np.array([3, 4]), np.array([3, 4])) == 0
    assert _deviation(np.array([3, 5]), np.array([3, 4])) == np.inf
    assert _deviation(np.zeros(0), np.zeros(0)) == 0
