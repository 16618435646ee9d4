"""The content of a page: a run and its topologies, a study, or a sweep and its jobs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Number = float | None


@dataclass(frozen=True)
class TopologySummary:
    """One topology of a run.

    Attributes
    ----------
    name : str
        Name of the topology.
    numbers : dict of str to float or None
        Its measures, and the numbers about its noise.
    hubs : list of (int, float)
        Neurons with their strengths, the strongest first.
    skipped : dict of str to str
        Measures that were not computed, and why.
    undefined : list of int
        Constant neurons.
    halves : list of dict
        Measures of the topologies of two halves of the documents, if they were computed.
    layer_agreement : dict of str to float
        For a mean over layers, the correlation of each layer with it; else empty.
    figures : list of Path
        Its figures.
    described : dict of int to dict
        What is known of its hubs, see `probe.runs.hubs_file`.
    names : dict of int to str
        Names of its hubs and their partners.
    """

    name: str
    numbers: dict[str, Number]
    hubs: list[tuple[int, float]]
    skipped: dict[str, str]
    undefined: list[int]
    halves: list[dict[str, float]]
    layer_agreement: dict[str, float]
    figures: list[Path]
    described: dict[int, dict[str, Any]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run: its manifest, its command line, its topologies and the figures across them."""

    path: Path
    title: str
    command: str
    manifest: dict[str, Any]
    topologies: list[TopologySummary]
    figures: list[Path]


@dataclass(frozen=True)
class Csv:
    """A table as its file has it: its name, heads of columns, first rows, and number of rows."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    total: int


@dataclass(frozen=True)
class Study:
    """A study: its manifest, its command line, its tables and figures."""

    path: Path
    title: str
    command: str
    manifest: dict[str, Any]
    csvs: list[Csv]
    figures: list[Path]


@dataclass(frozen=True)
class Job:
    """A job of a sweep.

    Attributes
    ----------
    number : int
        Counted from 1.
    overrides : list of str
        Its command line.
    values : dict of str to str
        Values of its overrides, by key.
    state : str
        finished, failed, or missing if the finished run cannot be read any more.
    run : Run or None
        Its run, if there is one; None for a study.
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
    """A sweep: its command line, the keys it varies, its jobs and figures.

    `headline` is the table of the studies that are its jobs, if they are studies.
    """

    path: Path
    command: str | None
    varied: list[str]
    jobs: list[Job]
    figures: list[Path]
    headline: Csv | None = None
