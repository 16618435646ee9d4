"""A model over its checkpoints: the tables of networks, spectra, emergence and controls."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.checkpoints import Checkpoint, timed
from experiments.multifractal.emergence import emergence
from experiments.multifractal.kept import Measured
from experiments.multifractal.measuring import How
from experiments.multifractal.scaling import MOMENTS
from experiments.statistics import draws, interval
from probe.api import UserError

logger = logging.getLogger(__name__)
Number = TypeVar("Number", bool, int, float)
Row = dict[str, Any]
Vector = NDArray[np.float64]
_OF_NETWORK = (
    "width", "alpha0", "alpha0_public", "nodes", "radii", "r2_min", "concave",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Estimate:
    """A measure of every checkpoint, and its draws.

    Attributes
    ----------
    value : ndarray of float64, shape (n_steps,)
        The mean over networks, or what is made of means.
    draws : ndarray of float64, shape (n_draws, n_steps)
        The same of networks drawn with replacement, the same ones at every checkpoint.
    """

    value: Vector
    draws: Vector

    def row(self, step: int, name: str) -> Row:
        """Return the value of a step and the ends of its 95 % interval, for a table."""
        ends = interval(self.draws[:, step])
        names = (name, f"{name}_low", f"{name}_high")
        return dict(zip(names, map(_or_none, (self.value[step], *ends)), strict=True))


@dataclass(frozen=True, eq=False)
class Course:
    """What was measured of a model's checkpoints.

    Attributes
    ----------
    name : str
        The model's.
    checkpoints : tuple of Checkpoint
        In the order of their steps; E is counted from the first if there are several.
    measured : list of Measured
        Of every checkpoint.
    how : How
        How.
    repetitions, seed : int
        Bootstrap draws of networks, and their seed.
    """

    name: str
    checkpoints: tuple[Checkpoint, ...]
    measured: list[Measured]
    how: How
    repetitions: int
    seed: int

    @property
    def steps(self) -> list[int | None]:
        """Steps of the checkpoints."""
        return [one.step for one in self.checkpoints]

    @property
    def timed(self) -> dict[int, int]:
        """Steps by the places of their checkpoints, where they are known; see `timed`."""
        return timed(self.checkpoints)

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """Networks drawn with replacement, shape (n_draws, n_samples)."""
        groups = [str(number) for number in range(len(self.column("alpha0")[0]))]
        return np.stack(list(draws(groups, self.seed, self.repetitions)))

    def column(self, name: str) -> NDArray[Any]:
        """Return a number of every network, shape (n_steps, n_samples)."""
        return np.stack([one.numbers[name] for one in self.measured])

    def mean(self, name: str) -> Estimate:
        """Return the mean of a number over the networks."""
        values = self.column(name).astype(np.float64)
        return Estimate(values.mean(axis=1), values[:, self.drawn].mean(axis=2).T)

    def emergence(self, kind: str = "") -> Estimate | None:
        """Return E of every checkpoint, or None if it is undefined, which is told.

        Parameters
        ----------
        kind : str
            That of the given weights, `_public` by the published rules, or `_shuffled`.
        """
        if len(self.measured) < 2:
            return None
        alpha0, width = self.column(f"alpha0{kind}"), self.column(f"width{kind}")

        def of(networks: NDArray[np.int64]) -> Vector:
            try:
                return emergence(self.steps, alpha0[:, networks], width[:, networks])
            except UserError:  # of a few networks only
                return np.full(len(alpha0), np.nan)

        try:
            value = emergence(self.steps, alpha0, width)
        except UserError as error:
            logger.warning("%s: E%s is undefined: %s", self.name, kind.replace("_", ", "), error)
            return None
        return Estimate(value, np.stack([of(one) for one in self.drawn]))

    @cached_property
    def emergences(self) -> dict[str, Estimate | None]:
        """E of the given weights, by the published rules, and shuffled, by kind."""
        return {kind: self.emergence(kind) for kind in ("", "_public", "_shuffled")}


def network_rows(course: Course) -> list[Row]:
    """Return a row for each checkpoint and network of the given weights, in their order."""
    return [
        {"step": one.step, "sample": sample}
        | {name: _given(measured.numbers[name][sample].item()) for name in _OF_NETWORK}
        for one, measured in zip(course.checkpoints, course.measured, strict=True)
        if one.given
        for sample in range(len(measured.numbers["width"]))
    ]


def spectrum_rows(course: Course) -> list[Row]:
    """Return a row for each checkpoint and moment, the last of which has no α.

    Means are over the networks that the chosen filter keeps.
    """
    rows = list[Row]()
    for one, measured in zip(course.checkpoints, course.measured, strict=True):
        if not one.given:
            continue
        how, moments = course.how, measured.moments
        kept = how.mode.keeps(moments["alpha"], moments["f"], how.filter)
        if not kept.any():
            logger.warning(
                "%s, %s: study.filter=%d keeps the spectrum of no network",
                course.name, one.name, how.filter,
            )  # fmt: skip
        means = {
            name: values[kept].mean(axis=0) if kept.any() else np.full(values.shape[1], np.nan)
            for name, values in moments.items()
        }
        for number, q in enumerate(MOMENTS):
            row: Row = {"step": one.step, "q": float(q)}
            for name in ("tau", "r2", "alpha", "f"):
                row[name] = _or_none(means[name][number]) if number < len(means[name]) else None
            rows.append(row | {"networks": int(kept.sum())})
    return rows


def emergence_rows(course: Course) -> list[Row]:
    """Return a row for each checkpoint: E, α₀ and width with intervals, public values beside."""
    found, public = (course.emergences[kind] for kind in ("", "_public"))
    alpha0, width = course.mean("alpha0"), course.mean("width")
    rows = list[Row]()
    for number, one in enumerate(course.checkpoints):
        row: Row = {"step": one.step, "weights": _whose(one)}
        row |= _of(found, number, "emergence")
        row["emergence_public"] = public and _or_none(public.value[number])
        row |= alpha0.row(number, "alpha0") | width.row(number, "width")
        for name in ("alpha0_public", "width_public", "nodes", "nodes_public"):
            row[name] = _or_none(course.mean(name).value[number])
        rows.append(row | {"networks": len(course.drawn[0])})
    return rows


def control_rows(course: Course) -> list[Row]:
    """Return a row for each checkpoint: the clock, size, strength, and no structure at all."""
    found, shuffled = (course.emergences[kind] for kind in ("", "_shuffled"))
    rows = list[Row]()
    for number, one in enumerate(course.checkpoints):
        row: Row = {"step": one.step, "weights": _whose(one)}
        row["log_step"] = None if one.step is None else float(np.log1p(one.step))
        for name in ("norm", "mean_degree"):
            row |= course.mean(name).row(number, name)
        for name in ("alpha0", "width"):
            own, without = course.mean(name), course.mean(f"{name}_shuffled")
            row |= without.row(number, f"{name}_shuffled")
            row |= _minus(own, without).row(number, f"{name}_beyond_shuffled")
        row |= _of(shuffled, number, "emergence_shuffled")
        beyond = _minus(found, shuffled) if found and shuffled else None
        rows.append(row | _of(beyond, number, "emergence_beyond_shuffled"))
    return rows


def measures(course: Course) -> dict[str, Vector]:
    """Return what is held against scores, of timed checkpoints: E, its parts and the controls."""
    numbers = ("alpha0", "width", "norm", "mean_degree", "alpha0_shuffled", "width_shuffled")
    found = {f"emergence{kind}": one.value for kind, one in course.emergences.items() if one}
    found |= {name: course.mean(name).value for name in numbers}
    places, steps = list(course.timed), list(course.timed.values())
    return {name: values[places] for name, values in found.items()} | {"log_step": np.log1p(steps)}


def _minus(first: Estimate, second: Estimate) -> Estimate:
    return Estimate(first.value - second.value, first.draws - second.draws)


def _of(estimate: Estimate | None, number: int, name: str) -> Row:
    if estimate is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return estimate.row(number, name)


def _whose(checkpoint: Checkpoint) -> str:
    return "given" if checkpoint.given else "random"


def _or_none(value: float) -> float | None:
    return _given(float(value))


def _given(value: Number) -> Number | None:
    return value if np.isfinite(value) else None


def several(courses: Sequence[Course], rows: Callable[[Course], list[Row]]) -> list[Row]:
    """Return the rows of all models, which are named where there are several."""
    return [
        ({"model": course.name} if len(courses) > 1 else {}) | row
        for course in courses
        for row in rows(course)
    ]
