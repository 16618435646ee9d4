"""One table, one figure and one W&B run over all jobs of a sweep."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from probe.config import Config, FiguresConfig
from probe.errors import UserError
from probe.plots import side_by_side
from probe.plots import sweep as draw_sweep
from probe.runs.load import load_topology
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import read_numbers
from probe.runs.writing import save_figure
from probe.sweep.conclusion import conclude
from probe.sweep.jobs import Job, read_jobs, varied
from probe.system.logs import plural
from probe.system.tables import aligned, write_csv
from probe.topology import WITHOUT_SINKS, Topology

logger = logging.getLogger(__name__)
Row = dict[str, Any]
# Measures for the console, with their column heads.
_COLUMNS = {
    "mean_abs_r": "mean |r|",
    "chance_abs_r": "chance",
    "split_half": "split-half r",
    "strength_gini": "Gini",
    "participation_ratio": "eff. dim.",
    "modularity": "modularity",
}
_SHOWN = 40
# Pairs of heat maps that fit into a figure.
_PAIRS = 6


def summarise(sweep: Path, config: Config) -> None:
    """Summarise a sweep in `summary.csv` and `summary.png`, on the console and in W&B.

    Parameters
    ----------
    sweep : Path
        Folder with the records of the jobs.
    config : Config
        Configuration of one of its jobs, for the tracking options.
    """
    jobs = read_jobs(sweep)
    keys = varied(jobs)
    rows = sweep_rows(jobs, keys)
    if not rows:
        logger.warning("no run of the sweep has a topology, so there is no summary")
        return
    write_csv(sweep / "summary.csv", rows)
    images = _draw(sweep, jobs, rows, keys, config.figures)
    _show(rows, keys)
    conclude(sweep, config, jobs, keys, rows, images, "runs")


def sweep_rows(jobs: Sequence[Job], varied: Sequence[str]) -> list[Row]:
    """Read the measures of all jobs.

    Returns
    -------
    list of dict
        For each topology the values of the varied overrides, then `run`, `topology`, `layer`,
        `part`, and its measures.
    """
    rows: list[Row] = []
    for job in jobs:
        if job.run is None:
            continue
        try:
            rows += _rows(job, varied)
        except (UserError, OSError) as error:
            logger.warning("%s is not in the summary: %s", job.run, error)
    return rows


def matched_pairs(
    jobs: Sequence[Job], varied: Sequence[str], most: int = _PAIRS
) -> tuple[list[tuple[str, Topology]], int]:
    """Load topologies of pretrained weights, each followed by that of random weights, with labels.

    Parameters
    ----------
    jobs : sequence of Job
        Jobs of a sweep; two match if they differ only in `init`.
    varied : sequence of str
        Keys that differ between the jobs.
    most : int
        Pairs to load; of more, those evenly spaced from the first to the last.

    Returns
    -------
    list of (str, Topology)
        Two for each pair that is loaded.
    int
        How many pairs there are.
    """
    pairs = _pairs(jobs, varied)
    n = min(most, len(pairs))
    chosen = [pairs[place * (len(pairs) - 1) // max(1, n - 1)] for place in range(n)]
    loaded = [
        (_label(both[init], init, name, same), load_topology(both[init], name))
        for both, name, same in chosen
        for init in ("pretrained", "random")
    ]
    return loaded, len(pairs)


def _label(run: Path, init: str, name: str, same: str) -> str:
    """Name a topology of a pair: its weights, its place, and what else tells it from others."""
    seed = read_manifest(run, "config")["config"]["init"]["seed"]
    words = [init, name.replace("_", " ")] + [f"seed {seed}"] * (init == "random")
    return f"{', '.join(words)}\n{same}".strip()


def _pairs(jobs: Sequence[Job], varied: Sequence[str]) -> list[tuple[dict[str, Path], str, str]]:
    """Return matching runs by `init`, the topology's name, and what else tells it from others."""
    others = [key for key in varied if key != "init"]
    runs: dict[tuple[str, ...], dict[str, Path]] = {}
    for job in jobs:
        if job.run is not None:
            same = tuple(job.values.get(key, "") for key in others)
            runs.setdefault(same, {}).setdefault(job.values.get("init", ""), Path(job.run))
    return [
        (both, name, _told(others, same))
        for same, both in runs.items()
        if {"pretrained", "random"} <= both.keys()
        for name in read_numbers(both["pretrained"])
        if name in read_numbers(both["random"])  # not all runs have one without sinks
    ]


def _told(keys: Sequence[str], values: Sequence[str]) -> str:
    """Return the values that a topology's name and weights do not tell."""
    return ", ".join(
        f"{key}={value}"
        for key, value in zip(keys, values, strict=True)
        if key.partition(".")[0] not in ("layers", "init")
    )


def _rows(job: Job, varied: Sequence[str]) -> Iterator[Row]:
    run = Path(job.run or "")
    numbers = read_numbers(run)
    records = read_manifest(run, "topologies")["topologies"]
    for record in records:
        row: Row = {key: job.values.get(key, "") for key in varied}
        layer = record["layers"][0] if len(record["layers"]) == 1 else None
        row |= {"run": job.run, "topology": record["name"], "layer": layer, "part": record["part"]}
        yield row | numbers[record["name"]]


def _draw(
    sweep: Path, jobs: Sequence[Job], rows: list[Row], keys: list[str], look: FiguresConfig
) -> dict[str, Path]:
    drawn = {}
    for suffix in ("", WITHOUT_SINKS):
        some = [row for row in rows if (WITHOUT_SINKS in row["topology"]) == bool(suffix)]
        if some:
            drawn[f"summary{suffix}"] = draw_sweep(some, keys, _source(jobs))
    pairs, there = matched_pairs(jobs, keys)
    if pairs:
        labels, topologies = zip(*pairs, strict=True)
        shown = f"{len(pairs) // 2} of {plural(there, 'pair')}"
        logger.info("pretrained_random.png shows %s of pretrained and random weights", shown)
        drawn["pretrained_random"] = side_by_side(topologies, labels, shown, 2, look)
    return {
        name: save_figure(figure, sweep / f"{name}.png", look) for name, figure in drawn.items()
    }


def _source(jobs: Sequence[Job]) -> str:
    """Return the models and data of a sweep, or how many there are of them."""
    found: dict[str, dict[str, None]] = {"models": {}, "data sets": {}}
    for job in jobs:
        with suppress(UserError):
            if job.run is not None:
                first = read_manifest(job.run, "topologies")["topologies"][0]
                subject = "" if first["subject"] in (None, "all") else f" {first['subject']}"
                found["models"][first["model"]] = None
                found["data sets"][first["data"] + subject] = None
    named = [
        next(iter(names)) if len(names) == 1 else f"{len(names)} {what}"
        for what, names in found.items()
    ]
    return " on ".join(named)


def _show(rows: Sequence[Row], keys: Sequence[str]) -> None:
    columns = {name: title for name, title in _COLUMNS.items() if any(name in row for row in rows)}
    header = ["topology", *keys, *columns.values()]
    cells = [
        [
            row["topology"],
            *(row[key] for key in keys),
            *(f"{row[name]:.4g}" if name in row else "-" for name in columns),
        ]
        for row in rows[:_SHOWN]
    ]
    for line in aligned(header, cells):
        logger.info("%s", line)
    if len(rows) > _SHOWN:
        logger.info("%d more rows are in summary.csv", len(rows) - _SHOWN)
