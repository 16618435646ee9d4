"""Independent component analysis of tokens × units: scikit-learn's FastICA, and ours.

Planted sparse time courses and maps with noise, on which both converge; signals are mapped from a
file. Methods are timed in turn; maps are matched, and the memory of ours is traced.
"""

import argparse
import os
import statistics
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import FastICA

from benchmarks.report import Report, save
from benchmarks.timing import Timing, describe, interleave
from experiments.networks.decomposition import Method, decompose, reduce
from experiments.networks.matching import match
from experiments.networks.memory import bytes_needed
from experiments.networks.signals import Signals

TOKENS, UNITS, COMPONENTS, SAMPLES = 2_000, 50_000, 64, 10
Maps = NDArray[np.float64]
OURS, DIRECT = "ours, temporal", "scikit-learn's FastICA, float32"


def run(options: argparse.Namespace) -> None:
    """Time both ways, match their maps, and trace the memory of ours."""
    with tempfile.TemporaryDirectory() as folder:
        signals = planted(Path(folder) / "signals.npy", TOKENS, UNITS, COMPONENTS)
        maps: dict[str, Maps] = {}
        methods: dict[str, Callable[[], float]] = {}
        memory: dict[str, int] = {}
        for method in get_args(Method):
            name = f"ours, {method}"
            methods[name] = partial(_keep, maps, name, partial(ours, signals, COMPONENTS, method))
            memory[name] = peak(methods[name])
        for dtype in ("float32", "float64"):
            name = f"scikit-learn's FastICA, {dtype}"
            methods[name] = partial(_keep, maps, name, partial(direct, signals, COMPONENTS, dtype))
        timings = interleave(methods, options.rounds, torch.device("cpu"))
    save(report(timings, maps, memory, options.rounds))


def planted(file: Path, n_tokens: int, n_units: int, k: int) -> NDArray[np.float32]:
    """Write signals of k sparse time courses with sparse maps, and white noise; map them."""
    rng = np.random.default_rng(0)
    courses = rng.laplace(size=(n_tokens, k)) ** 3
    courses /= courses.std(axis=0)
    groups = rng.laplace(size=(k, n_units))
    values = np.lib.format.open_memmap(file, "w+", np.float32, (n_tokens, n_units))
    for part in np.array_split(np.arange(n_tokens), 20):
        values[part] = courses[part] @ groups + 2 * rng.standard_normal((len(part), n_units))
    values.flush()
    mapped: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    return mapped


def ours(values: NDArray[np.float32], k: int, method: Method) -> Maps:
    """Return the maps of a single seed."""
    lengths = [len(part) for part in np.array_split(np.arange(len(values)), SAMPLES)]
    signals = Signals.of(values, "none", lengths)
    whitened = reduce(signals, k, method)
    return decompose(whitened, [0], "logcosh" if method == "temporal" else "cube").maps


def direct(values: NDArray[np.float32], k: int, dtype: str) -> Maps:
    """Return the maps of `FastICA` on tokens × units, as it is called by default."""
    fitted = FastICA(k, random_state=0).fit(np.asarray(values, dtype=dtype))
    return np.asarray(fitted.mixing_.T, dtype=np.float64)


def peak(method: Callable[[], float]) -> int:
    """Return the most bytes of arrays that a call holds at a time."""
    tracemalloc.start()
    method()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def report(
    timings: dict[str, Timing], maps: dict[str, Maps], memory: dict[str, int], rounds: int
) -> Report:
    """Return the report: medians, ratios to ours, |r| with the direct way, memory."""
    size, rows, alike = 4 * TOKENS * UNITS, [], {}
    for name, timing in timings.items():
        wall, cpu = timing.over(timings[OURS])
        matched = np.abs(match(maps[DIRECT], maps[name]).r)
        alike[name] = [float(matched.min()), float(np.median(matched))]
        share = f"{memory[name] / size:.2f}" if name in memory else ""
        rows.append(
            [name, f"{statistics.median(timing.wall):.4g}", f"{wall:.1f}",
             f"{statistics.median(timing.cpu):.4g}", f"{cpu:.1f}",
             f"{alike[name][0]:.5f} ({alike[name][1]:.5f})", share]
        )  # fmt: skip
    told = {
        f"ours, {method}": bytes_needed([TOKENS // SAMPLES] * SAMPLES, UNITS, COMPONENTS, method)
        for method in get_args(Method)
    }
    facts = describe(torch.device("cpu")) | {
        "tokens": TOKENS, "units": UNITS, "components": COMPONENTS, "samples": SAMPLES,
        "threads of BLAS": os.environ.get("OMP_NUM_THREADS", "all"), "rounds": rounds,
    }  # fmt: skip
    return Report(
        name="ica-cpu",
        title="Independent component analysis of tokens × units",
        facts=facts,
        columns=["", "wall s", "over ours", "CPU s", "over ours",
                 "least (median) absolute r with the direct way", "memory / signals"],
        rows=rows,
        notes=[
            "Memory is the most that arrays take at a time beyond the float32 signals, which are "
            "mapped from a file; said before: "
            + ", ".join(f"{name} {needed / size:.2f}" for name, needed in told.items())
            + " of their size.",
            "canica and spatial seek independent maps, temporal and scikit-learn independent time "
            "courses.",
        ],
        raw={
            "timings": {name: vars(timing) for name, timing in timings.items()},
            "least and median |r|": alike,
            "bytes": memory,
            "bytes said before": told,
        },
    )  # fmt: skip


def _keep(maps: dict[str, Maps], name: str, method: Callable[[], Maps]) -> float:
    maps[name] = method()
    return 0.0
