"""What figures of studies share with those of the program: colours, axes, names, values."""

from __future__ import annotations

from probe.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    SHARES,
    grid,
    name_rows_and_columns,
    single,
    write_values,
)

__all__ = [
    "BLUE",
    "COLOURS",
    "GREY",
    "ORANGE",
    "SHARES",
    "grid",
    "name_rows_and_columns",
    "single",
    "write_values",
]
