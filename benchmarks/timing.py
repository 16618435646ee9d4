"""Time methods in turn, so that other load on the machine affects all of them."""

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
    """Seconds of wall time and of CPU time, one value per round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def over(self, base: "Timing") -> tuple[float, float]:
        """Return the median ratios of wall and CPU time, each ratio taken within a round."""
        return (
            statistics.median(a / b for a, b in zip(self.wall, base.wall, strict=True)),
            statistics.median(a / b for a, b in zip(self.cpu, base.cpu, strict=True)),
        )


def rows_over(timings: Mapping[str, Timing], base: Timing) -> list[list[str]]:
    """Return a row for every method: seconds and ratio of wall time, then of CPU time."""
    rows = []
    for method, timing in timings.items():
        wall, cpu = timing.over(base)
        medians = statistics.median(timing.wall), statistics.median(timing.cpu)
        rows.append([method, f"{medians[0]:.4g}", f"{wall:.3f}", f"{medians[1]:.4g}", f"{cpu:.3f}"])
    return rows


def interleave(
    methods: Mapping[str, Callable[[], float]], rounds: int, device: torch.device
) -> dict[str, Timing]:
    """Time each method once per round, after a warm-up round.

    Parameters
    ----------
    methods : mapping of str to callable
        Methods by name; each returns the CPU seconds of its other processes.
    rounds : int
        Rounds to time.
    device : torch.device
        Device to synchronise with before a clock is read.
    """
    timings = {name: Timing() for name in methods}
    for number in range(rounds + 1):
        for name, method in methods.items():
            _wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            others = method()
            _wait(device)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu + others
            if number:
                timings[name].wall.append(wall)
                timings[name].cpu.append(cpu)
            logger.info("round %d of %d: %s %.3f s", number, rounds, name, wall)
    return timings


def describe(device: torch.device) -> dict[str, str | int | float | None]:
    """Describe the machine and its load (runnable processes)."""
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
