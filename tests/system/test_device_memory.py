"""How much memory there is, in words, and what is given back."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from probe.system.device_memory import format_bytes, release_cached

GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.parametrize(
    ("size", "said"), [(99_999, "100.0 kB"), (2e6, "2.0 MB"), (1e9, "1.00 GB")]
)
def test_sizes_are_said_in_the_unit_that_fits(size: float, said: str) -> None:
    assert format_bytes(int(size)) == said


@pytest.mark.skipif(sys.platform != "linux" or not GLIBC, reason="another C library")
def test_pieces_of_freed_memory_are_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    # Many pieces below the size that the C library maps by itself, and one that is kept on top.
    pieces = [torch.ones(16_000) for _ in range(2_000)]
    kept = torch.ones(16_000)
    full = resident()
    pieces.clear()
    release_cached(torch.device("cpu"))
    assert full - resident() > 100_000_000
    assert kept.sum() == 16_000


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_gpus_give_back_by_their_own_allocators(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(getattr(torch, kind), "empty_cache", lambda: asked.append(kind))
    release_cached(torch.device(kind))
    assert asked == [kind]
