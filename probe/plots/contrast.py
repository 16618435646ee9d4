"""Topologies side by side: heat maps, distributions of correlations, and similarity."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from probe.config import FiguresConfig
from probe.measures import edges
from probe.plots.distributions import chance_note, histogram_of
from probe.plots.matrix import colours_label, draw_matrix, neuron_order
from probe.plots.pixels import SIDE, beyond, limit, mean_note, shown
from probe.plots.style import (
    COLOURS,
    DASHES,
    DPI,
    MOST_NAMES,
    SHARES,
    SIGNED,
    USUAL,
    name_rows_and_columns,
    title,
    wrapped,
    write_values,
)
from probe.topology import Topology
from probe.topology.reliability import BINS

# The axes of a heat map.
_AXIS = "neuron, by rank of strength"


def side_by_side(
    topologies: Sequence[Topology],
    labels: Sequence[str],
    note: str = "",
    rows: int = 1,
    look: FiguresConfig = USUAL,
) -> Figure:
    """Draw a few heat maps side by side, and below them the distribution of r over pairs.

    Each heat map is ordered by its own strengths: between different models or initialisations the
    neurons' indices do not correspond.

    Parameters
    ----------
    topologies, labels : sequence
        What to draw, column by column, and its names.
    note : str
        End of the title.
    rows : int
        Heat maps in a column; each column has a colour below, each row its dashes.
    look : FiguresConfig
        Limit of the colours.
    """
    columns = len(topologies) // rows
    column = 3.2 if columns <= 4 else 2.6
    width = max(column * columns + 0.8, 6.4)
    figure = Figure(figsize=(width, 3.6 * rows + 3), layout="constrained", dpi=DPI)
    heading = "; ".join(filter(None, (title(*topologies), note)))
    figure.suptitle(wrapped(heading, width), fontsize=9)
    places = figure.add_gridspec(rows + 1, columns, height_ratios=[1.2] * rows + [1])
    above = [figure.add_subplot(places[i % rows, i // rows]) for i in range(len(topologies))]
    below = figure.add_subplot(places[rows, :])
    drawn = [shown(topology, neuron_order(topology), SIDE) for topology in topologies]
    end = look.max_r or limit(*drawn)
    for place, (axes, topology, label) in enumerate(zip(above, topologies, labels, strict=True)):
        image = draw_matrix(axes, drawn[place], topology.n_neurons, end)
        note = mean_note(topology.n_neurons, SIDE).strip()
        name = wrapped(label, column - 0.4)
        axes.set_title(f"{name}\n{_mean(topology)}", fontsize=8)
        lowest = place % rows == rows - 1
        axes.set_xlabel(f"{_AXIS * lowest}\n{note}".strip(), fontsize=8)
        axes.set_ylabel(_AXIS if place < rows else "", fontsize=8)
        r = edges(topology)
        share = histogram_of(r) / max(1, r.size)
        below.stairs(share, BINS, color=COLOURS[place // rows % len(COLOURS)],
                     ls=DASHES[place % rows], lw=1.3, label=name)  # fmt: skip
    outside = beyond(end, *drawn)
    bar = figure.colorbar(image, ax=above, extend=outside)
    bar.set_label(colours_label(outside, look.max_r), fontsize=8)
    if below.dataLim.ymax > 0:
        below.set_yscale("log")
        lines = max(label.count("\n") + 1 for label in below.get_legend_handles_labels()[1])
        below.set_ylim(None, below.dataLim.ymax * 1.8 ** (lines * rows))  # room for the legend
    below.legend(fontsize=8, frameon=False, loc="upper center", ncols=columns)
    below.set(xlabel="correlation r (dimensionless)", ylabel="share of pairs of neurons")
    below.set_xlim(-1, 1)
    return figure


def _mean(topology: Topology) -> str:
    r = edges(topology)
    mean = float(np.abs(r, dtype=np.float64).mean()) if r.size else 0.0
    return f"mean |r| {mean:.3f}\n{chance_note(topology.reliability)}".strip()


def comparison(
    labels: Sequence[str],
    correlations: ArrayLike,
    overlaps: ArrayLike,
    chance_overlap: float,
    source: str = "",
) -> Figure:
    """Draw how similar K topologies are: correlations of their entries, and hubs in common.

    Parameters
    ----------
    labels : sequence of str
        Names of the topologies.
    correlations, overlaps : array, shape (K, K)
        Correlation between the entries, and share of hubs in common, dimensionless; NaN where
        undefined, drawn grey.
    chance_overlap : float
        Share of hubs in common for random hubs; NaN if unknown.
    source : str
        What the topologies have in common, for the title.
    """
    side, names = 2.6 + 0.2 * min(len(labels), MOST_NAMES), 0.08 * max(map(len, labels))
    size = (2 * (side + names + 1), side + 0.75 * names + 0.3)
    figure = Figure(figsize=size, layout="compressed", dpi=DPI)
    heading = f"{source}; similarity of {len(labels)} topologies".lstrip("; ")
    figure.suptitle(wrapped(heading, size[0]), fontsize=9)
    by_chance = "" if np.isnan(chance_overlap) else f"; by chance {chance_overlap:.3f}"
    panels = (
        (correlations, SIGNED, -1, "correlation r of entries (dimensionless)"),
        (overlaps, SHARES, 0, f"share of hubs in common{by_chance}"),
    )
    for place, (values, colours, least, label) in enumerate(panels):
        axes = figure.add_subplot(1, 2, place + 1)
        image = axes.imshow(np.asarray(values, np.float64), cmap=colours, vmin=least, vmax=1)
        write_values(axes, image)
        name_rows_and_columns(axes, labels)
        figure.colorbar(image, ax=axes, label=label)
    return figure
