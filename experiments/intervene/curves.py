"""The pruning curve: effect against the share of neurons, and of norm."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.intervene.settings import DRAWN, SELECTIONS
from experiments.intervene.table import Row
from probe.api.drawing import BLUE, grid, legend_below, log_scale
from probe.api.interventions import MEASURES, OF_QUESTIONS

# Inches of a panel; of all in a row at least.
_SIZE, _LEAST = (2.5, 2.3), 5.2
_ACROSS = {"fraction": "share of neurons treated", "moved": "share of squared norm moved"}
_OWN = {"color": BLUE, "ls": "-", "marker": "o", "zorder": 3}
# Null models, a little aside where they treat as many neurons.
_NULLS: dict[str, dict[str, Any]] = {
    "random": {"color": "0.45", "ls": "--", "marker": "s"},
    "random_norm": {"color": "0.6", "ls": ":", "marker": "D"},
}
_ASIDE = {"random": 1 / 1.08, "random_norm": 1.08}


def pruning_curve(rows: Sequence[Row], title: str) -> Figure:
    """Draw the effects of one treatment and order: a column of panels for each selection.

    For every measure the upper panels are against the share of neurons, the lower ones against the
    share of the squared norm that was moved: there, neurons that merely have a larger norm lie on
    the line of random ones, which stand in every panel. Bars are 95 % intervals of the change over
    documents.
    """
    names = list(dict.fromkeys(row.select for row in rows))
    names = [name for name in names if name not in DRAWN] or names[:1]
    measures = list(dict.fromkeys(row.measure for row in rows))
    size = max(_SIZE[0], _LEAST / len(names)), _SIZE[1]
    figure, every = grid(title, 2 * len(measures) * len(names), len(names), size)
    places = [(measure, across) for measure in measures for across in _ACROSS]
    for place, (measure, across) in enumerate(places):
        panels = every[place * len(names) : (place + 1) * len(names)]
        selected = [row for row in rows if row.measure == measure]
        for axes, name in zip(panels, names, strict=True):
            if axes is not panels[0]:
                axes.sharey(panels[0])
                axes.tick_params(labelleft=False)
            _draw(axes, selected, name, across)
            axes.set_title(SELECTIONS[name], fontsize=8)
            axes.set_xlabel(_ACROSS[across], fontsize=7)
        panels[0].set_ylabel(MEASURES[measure].replace(", ", ",\n"), fontsize=8)
        _scale(panels, measure)
        _relative(panels[-1], selected[0])
    legend_below(figure, every, 5 if len(names) > 2 else 2)
    return figure


def _draw(axes: Axes, rows: Sequence[Row], name: str, across: str) -> None:
    measure = rows[0].measure
    for drawn in dict.fromkeys([*_NULLS, name]):
        # Logarithmic axes cannot show zero norm moved or zero divergence.
        points = sorted(
            (row for row in rows if row.select == drawn and getattr(row, across) > 0),
            key=attrgetter(across),
        )
        points = [row for row in points if row.treated > 0 or measure in OF_QUESTIONS]
        if not points:
            continue
        aside = _ASIDE.get(drawn, 1.0) if across == "fraction" else 1.0
        axes.errorbar(
            [aside * getattr(row, across) for row in points], [row.treated for row in points],
            yerr=_reach(points), label=SELECTIONS[drawn] if drawn in _NULLS else "selected",
            ms=2.5, lw=1.2, elinewidth=0.7, **_NULLS.get(drawn, _OWN),
        )  # fmt: skip
    if measure != "kl":
        axes.axhline(rows[0].untouched, color="black", lw=0.7, label="untouched")
    if rows[0].chance is not None and measure == "accuracy":
        axes.axhline(rows[0].chance, color="black", lw=0.7, ls=":", label="chance")
    axes.tick_params(labelsize=7)


def _reach(points: Sequence[Row]) -> list[list[float]]:
    """Return the lengths of bars on both sides; a share stays within 0 and 1."""
    below = [max(0.0, row.change - row.low) for row in points]
    above = [max(0.0, row.high - row.change) for row in points]
    if points[0].measure == "accuracy":
        below = [min(one, row.treated) for one, row in zip(below, points, strict=True)]
        above = [min(one, 1 - row.treated) for one, row in zip(above, points, strict=True)]
    return [below, above]


def _scale(panels: Sequence[Axes], measure: str) -> None:
    """Set the scales of panels that share their y axis, when all is drawn."""
    for axes in panels:
        log_scale(axes, "x")
    if measure not in OF_QUESTIONS:
        log_scale(panels[0], "y")
    if measure == "accuracy":
        panels[0].set_ylim(0, min(1.0, panels[0].get_ylim()[1]))


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
