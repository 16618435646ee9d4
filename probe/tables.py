"""Tables: aligned lines for the console, CSV files, and the measures of a finished run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.topology import replacing

_PLACE = ("topology", "layer", "part")


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay a table out in lines: the first column to the left, the others to the right.

    Examples
    --------
    >>> aligned(["layer", "mean |r|"], [["0", "0.31"], ["11", "0.4"]])
    ['layer  mean |r|', '0          0.31', '11          0.4']
    """
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under all the columns that any of them has; what a row lacks stays empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read_numbers(run: Path) -> dict[str, dict[str, float]]:
    """Read the measures of a finished run, by topology and name.

    Raises
    ------
    UserError
        If the run has no table of them.
    """
    try:
        with (run / "measures_by_layer.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{run} lacks {error.filename}; make the run again") from None
    return {
        row["topology"]: {k: float(v) for k, v in row.items() if k not in _PLACE and v}
        for row in rows
    }
