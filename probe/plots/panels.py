"""Small multiples: the main measures, each in a panel of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

COLUMNS = 4
SIZE = (2.9, 2.3)
# Numbers at places of the x axis.
Values = Mapping[float, list[float]]
# A graph measure at one of several densities is named so, see `Measures.numbers`.
AT = "_at_"


@dataclass(frozen=True)
class Panel:
    """A measure and what is drawn beside it.

    Attributes
    ----------
    key : str
        The measure's name in `Measures.numbers`.
    label : str
        What the panel's title calls it.
    unit : str
        What its axis counts.
    chance : dict of str to str
        Numbers that chance gives, by name, and what the legend calls them.
    """

    key: str
    label: str
    unit: str = "dimensionless"
    chance: dict[str, str] = field(default_factory=dict)

    def at(self, density: str) -> Panel:
        """Return the panel of the measure at one of several densities."""
        return replace(
            self,
            key=f"{self.key}{AT}{density}",
            label=f"{self.label} at density {density}",
            chance={f"{key}{AT}{density}": label for key, label in self.chance.items()},
        )


PANELS = (
    Panel(
        "mean_abs_r", "mean |r|",
        chance={"chance_abs_r": "white noise", "null_mean_abs_r": "circular shift"},
    ),
    Panel("split_half", "split-half correlation"),
    Panel("strength_gini", "Gini of strength"),
    Panel("participation_ratio", "participation ratio", "dimensions"),
    Panel("leading_share", "share of leading eigenvalue"),
    Panel("clustering", "clustering"),
    Panel("modularity", "modularity", chance={"modularity_null": "rewired"}),
    Panel("small_world", "small world"),
)  # fmt: skip


def present(rows: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """Return the panels for which any of the rows of numbers has something, each density's too."""
    known = dict.fromkeys(key for row in rows for key in row if _exists(row, key))
    found = []
    for panel in PANELS:
        for key in known:
            name, at, density = key.partition(AT)
            if name == panel.key:
                found.append(panel.at(density) if at else panel)
    return found


def chance_known(panel: Panel, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return which of the panel's numbers by chance any of the rows has."""
    known = {key for row in rows for key in panel.chance if _exists(row, key)}
    return {key: label for key, label in panel.chance.items() if key in known}


def by_place(rows: Iterable[tuple[float, Mapping[str, Any]]], key: str) -> dict[float, list[float]]:
    """Gather the numbers of a name by place on the x axis, where they exist."""
    found: dict[float, list[float]] = {}
    for place, numbers in rows:
        if _exists(numbers, key):
            found.setdefault(place, []).append(float(numbers[key]))
    return found


def _exists(row: Mapping[str, Any], key: str) -> bool:
    return row.get(key) not in (None, "")  # the latter where a row was read from a table


def draw_curve(axes: Axes, values: Values, spread: Values, **style: Any) -> None:
    """Draw the mean of the values at each place, and the range of the spread as a band."""
    places = sorted(values)
    means = [fmean(values[place]) for place in places]
    style = dict[str, Any](marker="o", ms=2.5, lw=1.2) | style
    (line,) = axes.plot(places, means, **style)
    banded = sorted(place for place in spread if len(spread[place]) > 1)
    if banded:
        low, high = ([end(spread[place]) for place in banded] for end in (min, max))
        axes.fill_between(banded, low, high, color=line.get_color(), alpha=0.2, lw=0)


def dress(axes: Axes, panel: Panel) -> None:
    """Give a panel its title and its unit."""
    axes.set_title(panel.label, fontsize=8.5)
    axes.set_ylabel(panel.unit, fontsize=7.5)
    axes.tick_params(labelsize=7.5)


def count_layers(axes: Axes) -> None:
    """Let the axis of layers have whole numbers only."""
    axes.set_xlabel("layer", fontsize=7.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
