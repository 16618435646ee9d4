"""A sweep's measures: curves by layer if layers vary, points otherwise."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.plots.panels import (
    COLUMNS,
    SIZE,
    chance_levels,
    collect,
    draw_curve,
    label_layers,
    label_panel,
    panels_of,
)
from probe.plots.style import COLOURS, DASHES, grid

Row = Mapping[str, Any]
Placed = Sequence[tuple[float, Row]]
# By the values of the keys that distinguish groups: topologies at their places on the x axis.
Groups = dict[str, Placed]
MARKERS = ("o", "s", "^")
# Lines a column of the legend has room for, and letters an inch.
LEGEND_ROWS, LETTERS = 24, 14


def sweep(rows: Sequence[Row], varied: Sequence[str], source: str = "") -> Figure:
    """Draw the main measures of a sweep's topologies, a panel each, against their chance levels.

    If every topology is of a single layer and layers vary, there is a curve by layer for each
    combination of the other varied keys; otherwise points, placed by the first key and coloured by
    the others. Topologies that agree in all of these (parts) are drawn as their mean and range.

    Parameters
    ----------
    rows : sequence of dict
        One for each topology, at least one: values of the varied keys, `topology`, `layer` (None
        for a mean over layers) and measures.
    varied : sequence of str
        Keys that the sweep varies.
    source : str
        Model and data, for the title.
    """
    layers = {row.get("layer") for row in rows}
    panels = panels_of(rows)
    heading = f"{source}: sweep" if source else "Sweep"
    heading += f" over {', '.join(varied)}" if varied else ""
    heading += f": {len(rows)} topolog{'y' if len(rows) == 1 else 'ies'}"
    figure, every = grid(heading, len(panels), COLUMNS, SIZE)
    if len(layers) > 1 and not layers & {None, ""}:
        rest = [key for key in varied if key.partition(".")[0] != "layers"]
        groups, draw = _grouped([(int(row["layer"]), row) for row in rows], rest), _draw_lines
        for axes in every:
            label_layers(axes)
    else:
        first, *rest = varied or ["topology"]
        names = list(dict.fromkeys(str(row.get(first)) for row in rows))
        placed = [(names.index(str(row.get(first))), row) for row in rows]
        groups, draw = _dodged(_grouped(placed, rest)), _draw_points
        _name_places(figure, every, first, names)
    for axes, panel in zip(every, panels, strict=True):
        # The strictest one: a circular shift preserves more of the series than white noise.
        chance = list(chance_levels(panel, rows).items())[-1:]
        label_panel(axes, panel)
        draw(axes, groups, panel.key, dict(chance))
    if len(groups) > 1:
        _add_legend(figure, every[0], ", ".join(rest), list(groups))
    return figure


def _grouped(placed: Placed, keys: Sequence[str]) -> Groups:
    groups: dict[str, list[tuple[float, Row]]] = {}
    for place, row in placed:
        groups.setdefault(", ".join(str(row.get(key)) for key in keys), []).append((place, row))
    return dict(groups)


def _dodged(groups: Groups) -> Groups:
    """Offset groups along the x axis, so that none hides another."""
    aside = {name: 0.7 * ((i + 0.5) / len(groups) - 0.5) for i, name in enumerate(groups)}
    return {
        name: [(place + aside[name], row) for place, row in group] for name, group in groups.items()
    }


def _draw_lines(axes: Axes, groups: Groups, key: str, chance: dict[str, str]) -> None:
    for number, (name, group) in enumerate(groups.items()):
        turn, colour = divmod(number, len(COLOURS))
        style: dict[str, Any] = {"color": COLOURS[colour], "ls": DASHES[turn % len(DASHES)]}
        values = collect(group, key)
        draw_curve(axes, values, values, label=name, **style)
        for expected in chance:
            style |= {"ls": ":", "marker": ""}
            draw_curve(axes, collect(group, expected), {}, **style)
    _name_chance(axes, chance, ls=":")


def _draw_points(axes: Axes, groups: Groups, key: str, chance: dict[str, str]) -> None:
    for number, (name, group) in enumerate(groups.items()):
        turn, colour = divmod(number, len(COLOURS))
        style: dict[str, Any] = {"color": COLOURS[colour], "ls": ""}
        values = collect(group, key)
        means = [fmean(numbers) for numbers in values.values()]
        marker = MARKERS[turn % len(MARKERS)]
        axes.plot(list(values), means, marker=marker, ms=4.5, label=name, **style)
        low, high = ([end(numbers) for numbers in values.values()] for end in (min, max))
        axes.vlines(list(values), low, high, color=style["color"], lw=1)
        for expected in chance:
            by_chance = collect(group, expected)
            means = [fmean(numbers) for numbers in by_chance.values()]
            axes.plot(list(by_chance), means, marker="_", ms=9, **style)
    axes.margins(y=0.3 if chance else 0.15)  # room for the legend
    _name_chance(axes, chance, ls="", marker="_", ms=9)


def _name_chance(axes: Axes, chance: dict[str, str], **style: Any) -> None:
    for label in chance.values():
        (line,) = axes.plot([], [], color="0.3", **style)
        axes.legend([line], [label], fontsize=7, frameon=False)


def _name_places(figure: Figure, every: Sequence[Axes], key: str, names: Sequence[str]) -> None:
    """Label the places of the x axis, once below each column of panels."""
    letters = max(map(len, names))
    crowded = letters * len(names) > 24
    if crowded:
        figure.set_figheight(figure.get_figheight() + letters / LETTERS / 2)
    for number, axes in enumerate(every):
        axes.set_xlim(-0.5, len(names) - 0.5)
        lowest = number + COLUMNS >= len(every)
        axes.set_xticks(range(len(names)), names if lowest else [""] * len(names))
        if lowest:
            axes.set_xlabel(key, fontsize=7.5)
        if crowded:
            axes.tick_params("x", rotation=90 if len(names) > 8 else 35)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")


def _add_legend(figure: Figure, axes: Axes, keys: str, names: Sequence[str]) -> None:
    """Label the groups right of the panels; the figure grows accordingly."""
    lines = [line for line in axes.lines if line.get_label() in names]
    columns = -(-len(names) // LEGEND_ROWS)
    width = columns * (0.7 + max(map(len, [*names, keys])) / LETTERS)
    figure.set_figwidth(figure.get_figwidth() + width)
    figure.legend(
        lines, names, title=keys, loc="outside right upper", ncols=columns,
        fontsize=7.5, title_fontsize=7.5, frameon=False,
    )  # fmt: skip
