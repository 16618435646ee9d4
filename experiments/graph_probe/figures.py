"""Figures: the performance of probes by input, density and layer."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.graph_probe.scores import CLAIM, SHUFFLED
from probe.api.drawing import BLUE, COLOURS, ORANGE, mark_beyond, single

Row = dict[str, Any]
# A failed probe can be far below chance: it is marked at the edge.
_LOWEST = -0.5
_NAMES = {"r2": "R²", "auc": "area under ROC"}
_CHANCE = {"r2": "constant prediction", "auc": "chance"}
# Where values lie, by their colour.
Points = dict[str, list[tuple[float, float]]]


def metric(rows: Sequence[Row]) -> str:
    """Return the name of the main metric: `r2` for numbers, `auc` for classes."""
    return "r2" if "r2" in rows[0] else "auc"


def by_input(source: str, rows: Sequence[Row], target: str, layer: int) -> Figure:
    """Draw the performance of every input and probe with intervals; topologies at the top."""
    whole = [one for one in rows if one["density"] == 1]
    name = metric(whole)
    best = {key: max(one[name] for one in whole if one["input"] == key) for key in _inputs(whole)}
    order = sorted(best, key=lambda key: (key == CLAIM, key != SHUFFLED, best[key]))
    probes = list(dict.fromkeys(one["probe"] for one in whole))
    row = max(0.42, 0.14 * len(probes))  # inches: the probes' numbers lie below each other
    figure, axes = single(
        f"{source}: {target} from layer {layer} and controls", (7, row * len(order) + 1.2)
    )
    for number, probe in enumerate(probes):
        shown = [one for one in whole if one["probe"] == probe]
        axes.errorbar(
            [one[name] for one in shown],
            [order.index(one["input"]) - _aside(number, probes) for one in shown],
            xerr=_reach(shown, name),
            fmt="o", markersize=4, linewidth=1, color=COLOURS[number], label=probe,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [key.replace("_", " ") for key in order])
    axes.axvline(_chance(name), color="0.4", linewidth=0.8, linestyle=":", label=_CHANCE[name])
    if name == "r2":
        axes.set_xlim(left=max(_LOWEST, axes.get_xlim()[0]), right=1)
        axes.set_ylim(axes.get_ylim())
        for number, probe in enumerate(probes):
            places = [
                (one[name], order.index(one["input"]) - _aside(number, probes))
                for one in whole
                if one["probe"] == probe
            ]
            mark_beyond(axes, places, COLOURS[number])
    axes.set_xlabel(f"{_NAMES[name]} on the test set (95 % over documents)")
    _add_legend(axes)
    return figure


def _add_legend(axes: Axes) -> None:
    """Put the legend next to the axes, where it hides no interval."""
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def _aside(number: int, probes: Sequence[str]) -> float:
    return 0.8 / max(4, len(probes)) * (number - (len(probes) - 1) / 2)


def by_density(source: str, rows: Sequence[Row], target: str, layer: int) -> Figure:
    """Draw the performance of the topology over the fraction of entries kept."""
    name = metric(rows)
    figure, axes = single(
        f"{source}: {target} from the sparse topologies of layer {layer}", (6.4, 3.2)
    )
    topologies = [one for one in rows if one["input"] == CLAIM]
    points: Points = {}
    probes = list(dict.fromkeys(one["probe"] for one in topologies))
    for number, probe in enumerate(probes):
        dodge = 1.04 ** (number - (len(probes) - 1) / 2)  # so that intervals do not overlap
        shown = sorted(
            (
                {**one, "density": one["density"] * dodge}
                for one in topologies
                if one["probe"] == probe
            ),
            key=lambda one: one["density"],
        )
        _line(axes, shown, "density", name, COLOURS[number], probe)
        points[COLOURS[number]] = [(one["density"], one[name]) for one in shown]
    axes.set_xscale("log")
    _bound(axes, name, points)
    densities = sorted({one["density"] for one in topologies})
    axes.set_xticks(densities, [f"{density:g}" for density in densities])
    axes.minorticks_off()
    axes.set_xlabel("fraction of entries kept")
    axes.set_ylabel(f"{_NAMES[name]} on the test set (95 %)")
    _add_legend(axes)
    return figure


def by_layer(source: str, rows: Sequence[Row], headline: Sequence[Row], target: str) -> Figure:
    """Draw each layer's topology against the best control."""
    name = metric(rows)
    figure, axes = single(f"{source}: {target} from the topology of each layer", (6.4, 3.2))
    shown = []
    for one in headline:
        shown += [
            other
            for other in rows
            if other["input"] == CLAIM
            and all(other[key] == one[key] for key in ("layer", "probe", "density"))
        ]
    _line(axes, shown, "layer", name, BLUE, "topology")
    axes.plot(
        [one["layer"] for one in headline], [one["control"] for one in headline],
        "s--", color=ORANGE, label="best control",
    )  # fmt: skip
    points = {
        BLUE: [(one["layer"], one[name]) for one in shown],
        ORANGE: [(one["layer"], one["control"]) for one in headline],
    }
    _bound(axes, name, points)
    axes.set_xlabel("layer")
    axes.set_ylabel(f"{_NAMES[name]} on the test set")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _add_legend(axes)
    return figure


def _line(axes: Axes, rows: Sequence[Row], over: str, name: str, colour: str, label: str) -> None:
    axes.errorbar(
        [one[over] for one in rows], [one[name] for one in rows], yerr=_reach(rows, name),
        fmt="o-", markersize=4, linewidth=1, color=colour, label=label,
    )  # fmt: skip


def _bound(axes: Axes, name: str, points: Points) -> None:
    """When all is drawn, add chance, let R² end where probes have failed, and mark those below."""
    axes.axhline(_chance(name), color="0.4", linewidth=0.8, linestyle=":", label=_CHANCE[name])
    if name == "r2":
        axes.set_ylim(bottom=max(_LOWEST, axes.get_ylim()[0]), top=1)
        axes.set_xlim(axes.get_xlim())
        for colour, places in points.items():
            mark_beyond(axes, places, colour)


def _inputs(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(one["input"] for one in rows))


def _reach(rows: Sequence[Row], name: str) -> list[list[float]]:
    """Return the lengths of the error bars on both sides."""
    return [
        [max(0.0, one[name] - one[f"{name}_low"]) for one in rows],
        [max(0.0, one[f"{name}_high"] - one[name]) for one in rows],
    ]


def _chance(name: str) -> float:
    return 0.5 if name == "auc" else 0.0
