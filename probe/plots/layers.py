"""Figures across the layers of a run: measures by layer, and what pairs of layers share."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe.measures import Measures
from probe.plots.distributions import chance_note
from probe.plots.panels import (
    COLUMNS,
    SIZE,
    Panel,
    chance_levels,
    collect,
    draw_curve,
    label_layers,
    label_panel,
    panels_of,
)
from probe.plots.style import (
    BLUE,
    COLOURS,
    ORANGE,
    SHARES,
    grid,
    name_rows_and_columns,
    single,
    title,
    write_values,
)
from probe.topology import Topology

Measured = Sequence[tuple[Topology, Measures]]
# Colours of kinds of topologies of one layer; the second is for chance.
_KINDS = (BLUE, *COLOURS[2:])


def measures_by_layer(measured: Measured) -> Figure:
    """Draw the main measures of single layers, against their chance levels.

    Lines are means over the parts of the examples; bands are the range over parts and over the two
    halves of the documents. Halves are noisier than the whole, so a band need not contain the line
    of a measure that depends on noise. Where a layer has several kinds of topologies, such as those
    without sinks, each kind has a line.
    """
    kinds = by_kind(measured)
    parts = any(topology.parts > 1 for topology, _ in measured)
    halves = any(topology.reliability and topology.reliability.halves for topology, _ in measured)
    bands = " and ".join(["parts"] * parts + ["halves of the documents"] * halves)
    heading = title(*(topology for topology, _ in measured))
    heading += f"; bands: range over {bands}" if bands else ""
    if measured[0][0].site == "residual":
        heading += "; the model's last layer is read behind its final norm"
    panels = panels_of(measures.numbers() for _, measures in measured)
    figure, every = grid(heading, len(panels), COLUMNS, SIZE)
    for axes, panel in zip(every, panels, strict=True):
        for (name, pairs), colour in zip(kinds.items(), _KINDS, strict=False):
            rows = _rows(pairs)
            label = name or "all tokens"
            draw_curve(
                axes, collect(rows, panel.key), _spread(pairs, panel), color=colour, label=label
            )
        _draw_chance(axes, panel, _rows(next(iter(kinds.values()))))
        label_panel(axes, panel)
        label_layers(axes)
    if len(kinds) > 1:
        lines = [line for line in every[0].lines if line.get_label() in (*kinds, "all tokens")]
        figure.legend(
            handles=lines, loc="outside lower center", ncols=len(lines), fontsize=8, frameon=False
        )
    return figure


def by_kind(measured: Measured) -> dict[str, Measured]:
    """Group topologies by what their names say beside layer and part: nothing first."""
    kinds = defaultdict(list)
    for topology, measures in measured:
        kind = re.sub(r"^layer_\d+|_part\d+$", "", topology.name).replace("_", " ").strip()
        kinds[kind].append((topology, measures))
    return dict(sorted(kinds.items()))


def _rows(measured: Measured) -> list[tuple[int, dict[str, float]]]:
    return [(topology.layers[0], measures.numbers()) for topology, measures in measured]


def _spread(measured: Measured, panel: Panel) -> dict[float, list[float]]:
    """Return the values of the parts and halves of every layer."""
    parts = _rows([pair for pair in measured if pair[0].parts > 1])
    halves = [
        (topology.layers[0], numbers)
        for topology, _ in measured
        for numbers in (topology.reliability.halves if topology.reliability else [])
    ]
    return collect(parts + halves, panel.key)


def _draw_chance(axes: Axes, panel: Panel, rows: Sequence[tuple[int, dict[str, float]]]) -> None:
    levels = chance_levels(panel, [numbers for _, numbers in rows])
    for (key, label), dashes in zip(levels.items(), (":", "--"), strict=False):
        draw_curve(axes, collect(rows, key), {}, color=ORANGE, ls=dashes, marker="", label=label)
    if levels:
        lines = [line for line in axes.lines if line.get_label() in levels.values()]
        axes.legend(handles=lines, fontsize=7, frameon=False)


def hub_overlap(measured: Measured) -> Figure:
    """Draw the share of hubs that two layers have in common, averaged over parts.

    Two random sets of h of n neurons share h²/n neurons on average: h/n of the hubs.
    """
    hubs = {
        (topology.layers[0], topology.part): {neuron for neuron, _ in measures.hubs}
        for topology, measures in measured
    }
    names = sorted({layer for layer, _ in hubs})
    parts = sorted({part for _, part in hubs})
    share = np.full((len(names), len(names)), np.nan)
    for i, j in np.ndindex(share.shape):
        pairs = [(hubs[names[i], part], hubs[names[j], part]) for part in parts]
        if i != j and all(first and second for first, second in pairs):
            share[i, j] = np.mean([len(a & b) / min(len(a), len(b)) for a, b in pairs])
    h, n = len(measured[0][1].hubs), measured[0][1].neurons
    chance = f"; by chance {h}/{n} = {h / n:.3f}" if n else ""
    return _draw_pairs(measured, names, share, f"share of {h} hubs in common{chance}", most=1)


def cross_layers(measured: Measured) -> Figure:
    """Draw mean |r| between the neurons of each pair of layers, averaged over parts."""
    means = defaultdict(list)
    for topology, measures in measured:
        means[topology.layers].append(measures.mean_abs_r)
    layers = sorted({layer for pair in means for layer in pair})
    mean = np.full((len(layers), len(layers)), np.nan)
    for (first, second), values in means.items():
        i, j = layers.index(first), layers.index(second)
        mean[i, j] = mean[j, i] = np.mean(values)
    chance = chance_note(measured[0][0].reliability)
    return _draw_pairs(measured, layers, mean, f"mean |r| (dimensionless) {chance}".strip())


def _draw_pairs(
    measured: Measured, layers: list[int], values: NDArray[Any], label: str, most: int | None = None
) -> Figure:
    """Draw a value of every two layers as a matrix."""
    figure, axes = single(title(*(topology for topology, _ in measured)), (6.4, 5.4))
    image = axes.imshow(values, cmap=SHARES, vmin=0, vmax=most)
    write_values(axes, image)
    name_rows_and_columns(axes, layers)
    axes.set(xlabel="layer", ylabel="layer")
    figure.colorbar(image, ax=axes, label=label)
    return figure
