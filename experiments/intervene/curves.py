"""The pruning curve: effect against the share of neurons, and of norm."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from experiments.intervene.settings import SELECTIONS
from experiments.intervene.table import Row
from probe.api.drawing import COLOURS, grid
from probe.api.interventions import MEASURES, OF_QUESTIONS

_SIZE = (5.2, 3.4)
# Labelled multiples of powers of ten, by the factor that an axis spans at most.
_TICKS = {100.0: (1, 1.5, 2, 3, 4, 6, 8), 1000.0: (1, 2, 5), float("inf"): (1,)}
# Null models are grey and dashed.
_NULLS = ("random", "random_norm")
# The two degrees often overlap.
_LINES = {"random": "--", "random_norm": ":", "degree_no_first": "-."}


def pruning_curve(rows: Sequence[Row], title: str) -> Figure:
    """Draw the effects of one treatment and order, one row of panels per measure.

    Left against the share of neurons, right against the share of the squared norm that was moved:
    there, neurons that merely have a larger norm lie on the line of random ones. Bars are 95 %
    intervals of the change over documents.
    """
    measures = list(dict.fromkeys(row.measure for row in rows))
    figure, axes = grid(title, 2 * len(measures), 2, _SIZE)
    for place, measure in enumerate(measures):
        selected = [row for row in rows if row.measure == measure]
        left, right = axes[2 * place : 2 * place + 2]
        _draw(left, selected, "fraction")
        _draw(right, selected, "moved")
        left.set_ylabel(MEASURES[measure], fontsize=8)
        left.set_xlabel("share of neurons treated", fontsize=8)
        right.set_xlabel("share of squared norm moved", fontsize=8)
        _relative(right, selected[0])
    # Beside the panels, where it hides no curve.
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7, frameon=False
    )
    return figure


def _draw(axes: Axes, rows: Sequence[Row], across: str) -> None:
    measure = rows[0].measure
    for name in dict.fromkeys(row.select for row in rows):
        # Logarithmic axes cannot show zero norm moved or zero divergence.
        points = sorted(
            (row for row in rows if row.select == name and getattr(row, across) > 0),
            key=attrgetter(across),
        )
        points = [row for row in points if row.treated > 0 or measure in OF_QUESTIONS]
        if not points:
            continue
        below = [max(0.0, row.change - row.low) for row in points]
        above = [max(0.0, row.high - row.change) for row in points]
        if measure == "accuracy":  # a share, whatever the interval of its change
            below = [min(one, row.treated) for one, row in zip(below, points, strict=True)]
            above = [min(one, 1 - row.treated) for one, row in zip(above, points, strict=True)]
        axes.errorbar(
            [getattr(row, across) for row in points], [row.treated for row in points],
            yerr=[below, above], label=SELECTIONS[name],
            color="0.45" if name in _NULLS else _colour(name),
            ls=_LINES.get(name, "-"), marker="o", ms=2.5, lw=1.2, elinewidth=0.7,
        )  # fmt: skip
    axes.set_xscale("log")
    _label(axes.xaxis)
    if measure not in OF_QUESTIONS:
        axes.set_yscale("log")
        _label(axes.yaxis)
    if measure != "kl":
        axes.axhline(rows[0].untouched, color="black", lw=0.7, label="untouched")
    if rows[0].chance is not None and measure == "accuracy":
        axes.axhline(rows[0].chance, color="black", lw=0.7, ls=":", label="chance")
    axes.tick_params(labelsize=7)


def _label(axis: Axis) -> None:
    """Label a logarithmic axis that may span less than a decade, or many."""
    low, high = axis.get_view_interval()
    ticks = next(ticks for most, ticks in _TICKS.items() if high / low <= most)
    axis.set_major_locator(LogLocator(subs=ticks))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _relative(axes: Axes, row: Row) -> None:
    """Add an axis of the relative change."""
    if row.measure == "accuracy" and row.untouched > 0:
        base = row.untouched

        def percent(value: Any) -> Any:
            return 100 * (value - base) / base

        def value(percent: Any) -> Any:
            return base * (1 + percent / 100)

        second = axes.secondary_yaxis("right", functions=(percent, value))
        second.set_ylabel("relative change, %", fontsize=8)
        second.tick_params(labelsize=7)


def _colour(name: str) -> str:
    coloured = [selection for selection in SELECTIONS if selection not in _NULLS]
    return COLOURS[coloured.index(name)]
