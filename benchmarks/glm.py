"""General linear models of many units: streamed normal equations, and nilearn.

AR(1) on autoregressive signals, of which both sides return effect, t, z and p. Where both are timed
signals lie in memory; where only ours is, rows are made chunk by chunk, in a process of its own.
OMP_NUM_THREADS says how many threads both have.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
from nilearn.glm import compute_contrast
from nilearn.glm.first_level import run_glm
from numpy.typing import NDArray

from benchmarks.report import Report, save
from benchmarks.timing import Timing, describe, interleave
from experiments.task_mapping.design import Design, Matrix, make_design
from experiments.task_mapping.streaming import NormalEquations

BLOCKS, OBSERVATIONS, UNITS, MANY = 50, 2_000, 50_000, 1_000_000
# Rows at a time: of few units, and of many, where they take 0.2 GB.
CHUNK, MANY_CHUNK = 250, 50
DTYPES = {"float64": torch.float64, "float32": torch.float32}
NILEARN = "nilearn"


@dataclass(frozen=True)
class Found:
    """Statistics t of the units, and the autocorrelations that were removed."""

    t: Matrix
    rho: Matrix


@dataclass(frozen=True)
class Scale:
    """What a fit of many units took.

    Attributes
    ----------
    observations, units : int
        Its size.
    dtype : str
        Of the products.
    adding, solving : float
        Seconds in which rows were added, without those in which they were made, and units solved.
    before, peak : int
        Peak memory of the process in bytes, before the first row and at the end.
    """

    observations: int
    units: int
    dtype: str
    adding: float
    solving: float
    before: int
    peak: int


def run(options: argparse.Namespace) -> None:
    """Measure ours on many units, then time both on fewer."""
    # First, while this process is small: a child's peak starts at its parent's.
    scales = [
        _apart(partial(scale, observations, MANY, dtype))
        for observations, dtype in (
            (OBSERVATIONS // 4, "float64"), (OBSERVATIONS, "float64"), (OBSERVATIONS, "float32"),
        )
    ]  # fmt: skip
    design = scan(OBSERVATIONS)
    signals = np.concatenate(list(rows(design, UNITS)))
    found: dict[str, Found] = {}
    methods: dict[str, Callable[[], float]] = {
        NILEARN: partial(_keep, found, NILEARN, partial(theirs, signals, design))
    }
    for dtype in DTYPES:
        name = f"ours, {dtype}"
        methods[name] = partial(_keep, found, name, partial(ours, signals, design, dtype))
    timings = interleave(methods, options.rounds, torch.device("cpu"))
    save(report(timings, found, scales, options.rounds))


def scan(observations: int) -> Design:
    """Return a design of blocks off, on, …, of as many tokens each."""
    on = np.arange(BLOCKS) % 2 == 1
    return make_design(on, np.full(BLOCKS, observations // BLOCKS), "tokens_ar1")


def rows(design: Design, n_units: int, chunk: int = CHUNK) -> Iterator[NDArray[np.float32]]:
    """Yield chunks of AR(1) noise, ρ from 0 to 0.9; a tenth of the units follow the task, too."""
    rng = np.random.default_rng(0)
    rho = np.linspace(0, 0.9, n_units, dtype=np.float32)
    effect = np.where(np.arange(n_units) % 10 == 0, np.float32(0.5), np.float32(0))
    mean = rng.standard_normal(n_units, dtype=np.float32)
    task = design.matrix["task"].to_numpy(np.float32)
    last = np.zeros(n_units, dtype=np.float32)
    for part in np.split(task, range(chunk, len(task), chunk)):
        values = rng.standard_normal((len(part), n_units), dtype=np.float32)
        for row, on in zip(values, part, strict=True):
            row += rho * last
            last = row.copy()
            row += mean + on * effect
        yield values


def scale(observations: int, n_units: int, dtype: str) -> Scale:
    """Fit rows as they are made."""
    design = scan(observations)
    before, adding = peak(), 0.0
    equations = NormalEquations(design, n_units, DTYPES[dtype])
    for chunk in rows(design, n_units, MANY_CHUNK):
        started = time.perf_counter()
        equations.add(chunk)
        adding += time.perf_counter() - started
    started = time.perf_counter()
    equations.fit()
    solving = time.perf_counter() - started
    return Scale(observations, n_units, dtype, adding, solving, before, peak())


def ours(signals: NDArray[np.float32], design: Design, dtype: str) -> Found:
    """Fit signals in chunks."""
    equations = NormalEquations(design, signals.shape[1], DTYPES[dtype])
    for chunk in np.split(signals, range(CHUNK, len(signals), CHUNK)):
        equations.add(chunk)
    fitted = equations.fit()
    assert fitted.rho is not None
    return Found(fitted.t, fitted.rho)


def theirs(signals: NDArray[np.float32], design: Design) -> Found:
    """Fit signals by nilearn, to the same statistics."""
    labels, results = run_glm(signals, design.matrix.to_numpy(), "ar1")
    contrast = compute_contrast(labels, results, design.contrast, "t")
    contrast.z_score()
    return Found(contrast.stat(), labels.astype(np.float64))


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def report(
    timings: dict[str, Timing], found: dict[str, Found], scales: list[Scale], rounds: int
) -> Report:
    """Return the report: medians, how many times as long nilearn takes, errors, memory."""
    rows, errors = [], {}
    for name, timing in timings.items():
        wall, cpu = timings[NILEARN].over(timing)
        told = ["", ""]
        if name != NILEARN:
            same = found[name].rho == found[NILEARN].rho
            gaps = np.abs(found[name].t - found[NILEARN].t)
            errors[name] = {
                "largest": float(gaps[same].max()), "other rho": int((~same).sum()),
                "largest with other rho": float(gaps[~same].max(initial=0)),
            }  # fmt: skip
            largest, number, of_these = errors[name].values()
            told = [f"{largest:.1e}", f"{number} ({of_these:.1e})"]
        rows.append(
            [name, f"{statistics.median(timing.wall):.3g}", f"{wall:.1f}",
             f"{statistics.median(timing.cpu):.3g}", f"{cpu:.1f}", *told]
        )  # fmt: skip
    facts = describe(torch.device("cpu")) | {
        "threads of BLAS": os.environ.get("OMP_NUM_THREADS", "all"),
        "observations": OBSERVATIONS, "units": UNITS, "columns": scan(OBSERVATIONS).matrix.shape[1],
        "rounds": rounds,
    }  # fmt: skip
    return Report(
        name="glm-cpu",
        title="General linear models with AR(1) noise",
        facts=facts,
        columns=["", "wall s", "nilearn's over it", "CPU s", "nilearn's over it",
                 "largest error of t", "units in another group (their error)"],
        rows=rows,
        notes=[
            "Errors are against nilearn. It fits units in groups of equal autocorrelation, "
            "truncated to hundredths; rounding moves a unit at the edge of one to the next.",
            *(
                f"{one.observations} observations × {one.units} units in {one.dtype}: "
                f"{one.adding:.1f} s to add rows as they come, {one.solving:.1f} s to solve; "
                f"memory at most {(one.peak - one.before) / 1e9:.2f} GB beyond the program's, "
                f"where the signals would be {4e-9 * one.observations * one.units:.2f} GB."
                for one in scales
            ),
        ],
        raw={
            "timings": {name: vars(timing) for name, timing in timings.items()},
            "errors": errors,
            "scales": [asdict(one) for one in scales],
        },
    )  # fmt: skip


def _apart(measure: Callable[[], Scale]) -> Scale:
    """Measure in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        return executor.submit(measure).result()


def _keep(found: dict[str, Found], name: str, method: Callable[[], Found]) -> float:
    found[name] = method()
    return 0.0
