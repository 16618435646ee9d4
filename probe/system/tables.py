"""Tables: aligned lines for the console, and CSV files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.system.files import atomic_write


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Format a table: the first column left-aligned, the others right-aligned.

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
    """Write rows under all columns that any row has; missing values stay empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
