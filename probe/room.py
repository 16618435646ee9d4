"""How much memory a device has, in bytes; None where it does not say."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")


def total(device: torch.device) -> int | None:
    """Memory of a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free(device: torch.device) -> int | None:
    """Memory of a device that nobody uses."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if _MEMINFO.is_file():
        # Beside what is free, what is kept of files and given up when it is needed; sysconf does
        # not know of that, and a model's files alone can be most of the memory.
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return total(device)


def words(size: int) -> str:
    """Word a number of bytes.

    Examples
    --------
    >>> words(1_980_000_000), words(12_845_056), words(2048)
    ('1.98 GB', '12.8 MB', '2.0 kB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.2f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
