"""What a page shows: a run and its topologies, a sweep and its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Number = float | None


@dataclass(frozen=True)
class Measured:
    """One topology of a run.

    Attributes
    ----------
    name : str
        Name of the topology.
    numbers : dict of str to float or None
        Its measures, and what is known of its noise.
    hubs : list of (int, float)
        Neurons with their strengths, the strongest first.
    skipped : dict of str to str
        Measures that were left out, and why.
    undefined : list of int
        Neurons that never varied.
    halves : list of dict
        Measures of the topologies of two halves of the documents; perhaps none.
    layer_agreement : dict of str to float
        For a mean over layers, each layer's correlation with it; else empty.
    figures : list of Path
        Its figures.
    """

    name: str
    numbers: dict[str, Number]
    hubs: list[tuple[int, float]]
    skipped: dict[str, str]
    undefined: list[int]
    halves: list[dict[str, float]]
    layer_agreement: dict[str, float]
    figures: list[Path]


@dataclass(frozen=True)
class Run:
    """A run: its manifest, the command that made it, its topologies and common figures."""

    path: Path
    title: str
    command: str
    manifest: dict[str, Any]
    topologies: list[Measured]
    figures: list[Path]


@dataclass(frozen=True)
class Job:
    """A job of a sweep.

    Attributes
    ----------
    number : int
        From 1.
    overrides : list of str
        Its command line.
    values : dict of str to str
        The same by key.
    state : str
        finished, failed, or missing where a finished run is not to be found any more.
    run : Run or None
        What it left.
    error : str or None
        What went wrong.
    """

    number: int
    overrides: list[str]
    values: dict[str, str]
    state: str
    run: Run | None
    error: str | None


@dataclass(frozen=True)
class Sweep:
    """A sweep: the command that made it, the keys it varied, its jobs and figures."""

    path: Path
    command: str | None
    varied: list[str]
    jobs: list[Job]
    figures: list[Path]
