"""The host: cores that a process may use, memory that is free. No torch."""

import os
from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Count the cores that this process may use: by affinity (SLURM, taskset), by a container."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # there is no quota, or it is "max"
        quota, period = map(int, _QUOTA.read_text().split())
        count = min(count, max(1, quota // period))
    return count


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where it cannot be found out.

    Includes the page cache, which is given up on demand and which sysconf does not count: a model's
    files alone can fill most of the memory.
    """
    if _MEMINFO.is_file():
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
