"""The figure: GAUC and average topologies of the two models against their controls."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.matching.pairs import PAIR
from probe.api.drawing import BLUE, ORANGE, grid

Row = Mapping[str, Any]


def figure(sources: Sequence[str], matched: Sequence[Row], compared: Sequence[Row]) -> Figure:
    """Draw GAUC with its intervals over documents, assigned r, and distances of spectra."""
    names = "; ".join(
        f"{n} model {name}" for n, name in zip(("first", "second"), sources, strict=True)
    )
    title = f"{names}: GAUC over a test set of {matched[0]['texts']}, and average topologies"
    drawing, axes = grid(title, 3, 3, (5.0, 3.2))
    _points(axes[0], matched, "gauc", "GAUC (test set)")
    for place, row in enumerate(matched):
        axes[0].plot([row["low"], row["high"]], [place, place], color=_colour(row), linewidth=1.5)
    permuted = [row["permuted"] for row in matched]
    axes[0].plot(permuted, range(len(matched)), "x", color="0.4", label="permuted texts")
    axes[0].axvline(0.5, color="0.4", linestyle=":", linewidth=1, label="chance")
    axes[0].legend(fontsize=7, loc="lower right")
    axes[0].set_ylim(bottom=len(matched) + 0.5)  # room for the legend
    _points(axes[1], compared, "correlation", "r of |r| after the best assignment found")
    axes[1].set_xlim(right=1.02)
    with_spectra = [row for row in compared if row["spectra"] is not None]
    _points(axes[2], with_spectra, "spectra", "distance of spectra")
    axes[2].plot([], [], "o", color=BLUE, label="the two models")
    axes[2].plot([], [], "o", color=ORANGE, label="controls")
    drawing.legend(
        *axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return drawing


def _points(axes: Axes, rows: Sequence[Row], name: str, label: str) -> None:
    for place, row in enumerate(rows):
        axes.plot(row[name], place, "o", color=_colour(row), markersize=6)
    # Long names are broken at the comma.
    names = [row["pair"].replace(", ", ",\n", 1) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _colour(row: Row) -> str:
    return BLUE if row["pair"] == PAIR else ORANGE
