"""Figures: probes against controls, and the coupling index against its null model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.hallucination.sources import TOPOLOGY
from probe.api.drawing import BLUE, COLOURS, GREY, ORANGE, grid

Row = Mapping[str, Any]
_GREEN = COLOURS[2]
_ROW = 0.28  # inches per source


def probes_figure(source: str, rows: Sequence[Row], majority: float) -> Figure:
    """Draw the probes' results on the test set, with intervals and shuffled labels."""
    title = (
        f"{source}: true or false answer, predicted from …: test set, 95 % intervals over questions"
    )
    chance = (0.5, "chance")
    panels = [("accuracy", "accuracy", (majority, "more frequent label")),
              ("auc", "area under ROC", chance),
              ("within", "within-question ranking accuracy", chance)]  # fmt: skip
    figure, axes_of_panels = grid(title, 3, 3, (4.0, 1.2 + _ROW * len(rows)))
    for axes, (name, label, (level, what)) in zip(axes_of_panels, panels, strict=True):
        _draw(axes, rows, name, f"{name}_low", f"{name}_high")
        axes.axvline(level, color="0.4", linestyle=":", linewidth=1, label=what)
        if f"{name}_shuffled" in rows[0]:
            _mark(axes, [row[f"{name}_shuffled"] for row in rows])
        axes.legend(fontsize=7, loc="lower right")
        axes.set_xlabel(label)
        axes.set_yticks(range(len(rows)), [""] * len(rows))
        _leave_room(axes, len(rows))
    _name(axes_of_panels[0], rows)
    _name_colours(figure, rows)
    return figure


def coupling_figure(source: str, rows: Sequence[Row]) -> Figure:
    """Draw the share of questions with C > 0 against shuffled labels, and the distribution of C."""
    title = (
        f"{source}: coupling index of {rows[0]['questions']} questions, 95 % intervals over them"
    )
    figure, (left, right) = grid(title, 2, 2, (5.0, max(3.0, 1.2 + _ROW * len(rows))))
    for place, row in enumerate(rows):
        left.plot(
            [row["null_low"], row["null_high"]], [place, place], color=GREY, linewidth=6,
            label="_" if place else "95 % of shuffled labels",
        )  # fmt: skip
    _draw(left, rows, "value", "low", "high")
    _mark(left, [row["null"] for row in rows])
    left.legend(fontsize=7, loc="lower right")
    _leave_room(left, len(rows))
    left.set_xlabel("share of questions with C > 0")
    _name(left, rows)
    selected = [row for row in rows if row["source"] == TOPOLOGY]
    selected += [row for row in rows if "embeddings" in row["source"]]
    low, high = np.percentile([c for row in selected for c in row["indices"]], [1, 99])
    edges = np.linspace(float(low), float(high), 41).tolist()
    for row, colour in zip(selected, COLOURS * len(selected), strict=False):
        right.hist(
            row["indices"], bins=edges, histtype="step", color=colour, density=True,
            label=_label(row),
        )  # fmt: skip
    right.axvline(0, color="0.4", linestyle=":", linewidth=1)
    right.set_xlabel("C of a question (1st to 99th percentile)")
    right.set_ylabel("density")
    right.legend(fontsize=7)
    _name_colours(figure, rows)
    return figure


def _colour(row: Row) -> str:
    return ORANGE if row["control"] else BLUE if row["source"] == TOPOLOGY else _GREEN


def _name_colours(figure: Figure, rows: Sequence[Row]) -> None:
    names = {BLUE: "topology", _GREEN: "activations", ORANGE: "controls"}
    present = {_colour(row) for row in rows}
    lines = [
        Line2D([], [], color=colour, marker="o", ms=5, label=name)
        for colour, name in names.items()
        if colour in present
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _draw(axes: Axes, rows: Sequence[Row], value: str, low: str, high: str) -> None:
    for place, row in enumerate(rows):
        colour = _colour(row)
        axes.plot([row[low], row[high]], [place, place], color=colour, linewidth=1.5)
        axes.plot(row[value], place, "o", color=colour, markersize=5)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _mark(axes: Axes, nulls: Sequence[float]) -> None:
    axes.plot(nulls, range(len(nulls)), "x", color="0.4", markersize=5, label="shuffled labels")


def _leave_room(axes: Axes, n_rows: int) -> None:
    """Leave room for the legend below the rows, equally in every panel."""
    axes.set_ylim(n_rows + 0.5, -0.5)


def _name(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)


def _label(row: Row) -> str:
    name: str = row["source"]
    return name if row["layer"] is None else f"{name}, layer {row['layer']}"
