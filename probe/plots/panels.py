"""Small multiples: one panel for each main measure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

COLUMNS = 4
SIZE = (2.9, 2.3)
# Numbers by place on the x axis.
Values = Mapping[float, list[float]]
# Separates a graph measure from its density; see `Measures.numbers`.
AT = "_at_"


@dataclass(frozen=True)
class Panel:
    """A measure and its chance levels.

    Attributes
    ----------
    key : str
        The measure's name in `Measures.numbers`.
    label : str
        What it is, on the y axis (all are dimensionless).
    chance : dict of str to str
        Names of its chance levels in `Measures.numbers`, with their labels in the legend.
    level : (float, str), optional
        What it is by definition without the structure that it measures, and how that is called.
    """

    key: str
    label: str
    chance: dict[str, str] = field(default_factory=dict)
    level: tuple[float, str] | None = None

    def at(self, density: str) -> "Panel":
        """Return the panel of this measure at one of several densities."""
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
    Panel("split_half", "split-half r"),
    Panel("strongest_share", "share of the strongest token"),
    Panel("strength_gini", "Gini of strength"),
    Panel("participation_ratio", "effective dimension"),
    Panel("leading_share", "share of leading eigenvalue"),
    Panel("clustering", "clustering coefficient"),
    Panel("modularity", "modularity", chance={"modularity_null": "rewired"}),
    Panel("small_world", "small-world ratio", level=(1, "rewired")),
)  # fmt: skip


def panels_of(rows: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """Return the panels of the measures that any row has, one for each density."""
    names = dict.fromkeys(key for row in rows for key in row if _exists(row, key))
    panels = []
    for panel in PANELS:
        for key in names:
            name, at, density = key.partition(AT)
            if name == panel.key:
                panels.append(panel.at(density) if at else panel)
    return panels


def chance_levels(panel: Panel, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the panel's chance levels that any row has."""
    return {
        key: label for key, label in panel.chance.items() if any(_exists(row, key) for row in rows)
    }


def collect(rows: Iterable[tuple[float, Mapping[str, Any]]], key: str) -> dict[float, list[float]]:
    """Collect the values of a measure by place on the x axis."""
    values: dict[float, list[float]] = {}
    for place, numbers in rows:
        if _exists(numbers, key):
            values.setdefault(place, []).append(float(numbers[key]))
    return values


def _exists(row: Mapping[str, Any], key: str) -> bool:
    return row.get(key) not in (None, "")  # the latter in a row read from a csv file


def draw_curve(axes: Axes, values: Values, spread: Values, **style: Any) -> None:
    """Draw the mean of `values` at each place, and the range of `spread` as a band."""
    places = sorted(values)
    means = [fmean(values[place]) for place in places]
    style = dict[str, Any](marker="o", ms=2.5, lw=1.2) | style
    (line,) = axes.plot(places, means, **style)
    several = sorted(place for place in spread if len(spread[place]) > 1)
    if several:
        low, high = ([end(spread[place]) for place in several] for end in (min, max))
        axes.fill_between(several, low, high, color=line.get_color(), alpha=0.2, lw=0)


def label_panel(axes: Axes, panel: Panel) -> None:
    """Write a panel's quantity; a reliability is read from 0 to 1."""
    axes.set_ylabel(panel.label, fontsize=8)
    axes.tick_params(labelsize=7.5)
    if panel.level is not None:
        line = axes.axhline(panel.level[0], color="0.4", ls=":", lw=1, label=panel.level[1])
        axes.legend(handles=[line], fontsize=7, frameon=False)
    if panel.key == "split_half":
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.03)


def label_layers(axes: Axes) -> None:
    """Label the x axis as layers, with integer ticks only."""
    axes.set_xlabel("layer", fontsize=7.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
