"""What is logged to W&B about a whole sweep, in a run of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.config import Config
from probe.tracking.writer import curves_over_layers, images, table, tags, write


@dataclass(frozen=True)
class SweepRecord:
    """What is logged about a whole sweep.

    Attributes
    ----------
    name : str
        Name of the sweep; its runs have it as their group.
    rows : sequence of mapping
        One for each topology of each job: values of the varied overrides, `run`, `topology`,
        `layer`, `part`, and measures. One for each study: the values, `run`, and its headline.
    varied : mapping of str to sequence of str
        Varied overrides, with their values.
    images : mapping of str to Path
        Figures, by name.
    facts : mapping
        Numbers of jobs, and of failed ones.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    varied: Mapping[str, Sequence[str]]
    images: Mapping[str, Path]
    facts: Mapping[str, Any]


def track_sweep(config: Config, sweep: Path, record: SweepRecord) -> str | None:
    """Log the summary of a sweep as one run in the group of its runs; return its URL or folder."""

    def log(writer: Any) -> None:
        curves_over_layers(writer)
        for row in record.rows:
            if row.get("layer") is not None:
                writer.log({"layer": row["layer"], **_curves(row, record)})
        columns = list(dict.fromkeys(column for row in record.rows for column in row))
        data = [[row.get(column) for column in columns] for row in record.rows]
        writer.log({"summary": table(columns, data), **images(record.images)})
        writer.summary.update(dict(record.facts))

    about = {
        "name": f"summary of {record.name}",
        "group": record.name,
        "job_type": "summarise",
        "tags": tags(*config.tracking.tags),
        "config": {"varied": {key: list(values) for key, values in record.varied.items()}},
    }
    return write(config.tracking, sweep, about, log)


def _curves(row: Mapping[str, Any], record: SweepRecord) -> dict[str, float]:
    """Name a row's measures by the values that vary, e.g. `layers/init=random/mean_abs_r`."""
    keys = [key for key in record.varied if key.partition(".")[0] != "layers"]
    names = [f"{key}={row[key]}" for key in keys]
    part = [f"part{row['part']}"] if any(other["part"] != 1 for other in record.rows) else []
    path = "/".join(["layers", *([",".join(names)] if names else []), *part])
    return {f"{path}/{key}": value for key, value in row.items() if isinstance(value, float)}
