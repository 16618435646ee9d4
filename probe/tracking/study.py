"""What is logged to W&B about a study: its figures, tables and numbers."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from probe.config import Config, to_plain
from probe.tracking.writer import images, table, tags, write

# Rows of a table; W&B does not show more.
_ROWS = 10_000


def track_study(
    config: Config, folder: Path, name: str, group: str | None, facts: Mapping[str, Any]
) -> str | None:
    """Log a finished study to W&B; return its URL or folder, or None if it was not logged.

    Parameters
    ----------
    config : Config
        The study's configuration.
    folder : Path
        Its folder, whose figures (.png) and tables (.csv) are logged.
    name : str
        Name of the study.
    group : str or None
        Name of the sweep the study belongs to.
    facts : mapping
        The facts in its manifest; numbers and strings become the summary.
    """

    def log(writer: Any) -> None:
        media = images(_files(folder, ".png"))
        for path, file in _files(folder, ".csv").items():
            media[f"tables/{path}"] = table(*_read(file))
        writer.log(media)
        writer.summary.update(dict(_flat(facts)))

    about = {
        "name": f"{name} {folder.name}",
        "group": group,
        "job_type": name,
        "tags": tags(name, *config.tracking.tags),
        "config": to_plain(config),
    }
    return write(config.tracking, folder, about, log)


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the folder's files by their path without `figures/` and suffix."""
    files = {}
    for file in sorted(folder.rglob(f"*{suffix}")):
        path = file.relative_to(folder).with_suffix("")
        if path.parts[0] != "wandb":
            files["/".join(path.parts[path.parts[0] == "figures" :])] = file
    return files


def _read(file: Path) -> tuple[list[str], list[list[Any]]]:
    with file.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        columns = next(lines, [])
        cells = [_typed(column) for column in zip(*islice(lines, _ROWS), strict=True)]
    return columns, [list(row) for row in zip(*cells, strict=True)]


def _typed(column: Sequence[str]) -> Sequence[float | str | None]:
    """Convert a column to numbers and gaps if it holds no words; W&B wants one type per column."""
    try:
        return [float(cell) if cell else None for cell in column]
    except ValueError:
        return column


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        elif isinstance(value, int | float | str | bool):
            yield prefix + key, value
