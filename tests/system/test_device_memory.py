"""How much memory a device has, in words, and what is given back."""

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from probe.system import machine
from probe.system.device_memory import (
    format_bytes,
    free_memory,
    release_cached,
    total_memory,
)

GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")
CPU = torch.device("cpu")


def test_the_host_knows_its_memory() -> None:
    total, free = total_memory(CPU), free_memory(CPU)
    assert total is not None
    assert free is not None
    assert 0 < free <= total
    assert total == total_memory(torch.device("mps")), "Apple's GPU shares the host's"


def test_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (device.index, 80))
    gpu = torch.device("cuda:1")
    assert (free_memory(gpu), total_memory(gpu)) == (1, 80)


def test_a_host_may_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf_names", {})
    monkeypatch.setattr(machine, "_MEMINFO", Path("/nowhere"))
    assert total_memory(CPU) is None
    assert free_memory(CPU) is None


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
