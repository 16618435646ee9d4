"""Several ways timed in turn, so that what else the machine does hits all of them."""

from __future__ import annotations

import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

logger = logging.getLogger("benchmarks")


@dataclass
class Timing:
    """Seconds of wall and of CPU time, a number for each round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def over(self, base: Timing) -> tuple[float, float]:
        """Return the medians of the ratios, each within a round, when the machine did the same."""
        return (
            statistics.median(a / b for a, b in zip(self.wall, base.wall, strict=True)),
            statistics.median(a / b for a, b in zip(self.cpu, base.cpu, strict=True)),
        )


def interleave(
    ways: Mapping[str, Callable[[], float]], rounds: int, device: torch.device
) -> dict[str, Timing]:
    """Time every way once a round; a first round warms up.

    Parameters
    ----------
    ways : mapping of str to callable
        What to time. Each returns the seconds of CPU time that its other processes took.
    rounds : int
        Rounds to time.
    device : torch.device
        Device whose work is waited for before a clock is read.
    """
    timings = {name: Timing() for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            _wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            others = way()
            _wait(device)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu + others
            if number:
                timings[name].wall.append(wall)
                timings[name].cpu.append(cpu)
            logger.info("round %d of %d: %s %.3f s", number, rounds, name, wall)
    return timings


def describe(device: torch.device) -> dict[str, str | int | float | None]:
    """Describe the machine, and what else it does (`load`, processes that want to run)."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "gpu": gpu,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
