"""Figures of the study. They are returned, not saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from experiments.hubs.bases import KEPT, OBSERVED, RANDOM, ROTATED, SHIFTED, WITHOUT_FIRST
from experiments.hubs.frequency import Frequencies
from experiments.hubs.overlap import Item, overlap
from probe.api.drawing import COLOURS, SHARES, grid, name_rows_and_columns, single, write_values
from probe.api.parts import Relabelling

_BASES = dict(zip((OBSERVED, WITHOUT_FIRST, ROTATED, SHIFTED, RANDOM), COLOURS[:5], strict=True))
# The two that often agree: the observed curve shows between the dashes of the one above it.
_STYLES: dict[str, dict[str, Any]] = {
    OBSERVED: {"lw": 2.2},
    WITHOUT_FIRST: {"lw": 1.4, "ls": (0, (3, 3)), "zorder": 3},
}
_OTHER: dict[str, Any] = {"lw": 1.2, "marker": ".", "ms": 3}
# Inches of a matrix's row, at least: every one is named.
_ROW = 0.14
# Only the bases of the paper and its null models are curves: more could not be told apart.
_KEPT = dict(zip(KEPT, COLOURS[:3], strict=True))


def frequency_curves(title: str, layers: Mapping[int, Mapping[str, Frequencies]]) -> Figure:
    """Draw hub frequency by rank against the null models, one panel per layer.

    Bands are the range over draws.
    """
    figure, panels = grid(title, len(layers), 3, (3.2, 2.6))
    for axes, (layer, by_basis) in zip(panels, layers.items(), strict=True):
        for basis, frequencies in by_basis.items():
            if basis in _BASES:
                _draw(axes, basis, frequencies)
        tally = by_basis[OBSERVED].draws[0]
        chance = tally.n_hubs / tally.n_neurons
        axes.axhline(chance, color="black", ls=":", lw=1, label="chance")
        axes.axvline(tally.n_hubs + 0.5, color="0.6", lw=0.8, zorder=0)
        most = min(tally.n_neurons, 4 * tally.n_hubs)
        axes.set(xlim=(0.5, most + 0.5), ylim=(0, 1.03))
        axes.set_title(f"layer {layer}, {tally.n_hubs} hubs", fontsize=9)
        axes.set_xlabel("neuron, by rank in half A", fontsize=8)
        axes.set_ylabel("share of texts of half B", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def _draw(axes: Axes, basis: str, frequencies: Frequencies) -> None:
    curves = frequencies.curves
    rank = np.arange(1, curves.shape[1] + 1)
    colour = _BASES[basis]
    axes.plot(rank, curves.mean(axis=0), color=colour, label=basis, **_STYLES.get(basis, _OTHER))
    if len(frequencies.draws) > 1:
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.fill_between(rank, low, high, color=colour, alpha=0.2, lw=0)


def kept_hubs(
    about: str, ruling: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, Any]]
) -> Figure:
    """Draw the share of one token in a topology and the hubs that do without, over the layers."""
    variants = list(dict.fromkeys(row["variant"] for row in ruling))
    heading = f"{about}: tokens that rule, and hubs without them"
    figure, panels = grid(heading, len(variants), 2, (6.4 if len(variants) == 1 else 4.2, 2.8))
    for axes, variant in zip(panels, variants, strict=True):
        own = [row for row in ruling if row["variant"] == variant]
        layers, shares = [row["layer"] for row in own], [row["strongest_share"] for row in own]
        axes.plot(layers, shares, color="black", lw=1.5, marker="s", ms=3,
                  label="share of the strongest token in the topology")  # fmt: skip
        for dashes, (basis, colour) in zip(("-", "--", ":"), _KEPT.items(), strict=True):
            rows = [row for row in kept if (row["variant"], row["basis"]) == (variant, basis)]
            places, common = [row["layer"] for row in rows], [row["share"] for row in rows]
            label = f"hubs kept: {basis}"
            axes.plot(places, common, color=colour, ls=dashes, marker="o", ms=3, label=label)
        axes.set_title(variant, fontsize=9)
        axes.set_xlabel("layer", fontsize=8)
        axes.set_ylabel("share of the topology, or of hubs", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(min(0, *shares) - 0.03, 1.05)
        axes.tick_params(labelsize=7)
    lines = panels[0].lines if variants else []
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    return figure


def overlap_matrix(about: str, items: Sequence[Item], null: Relabelling) -> Figure:
    """Draw the share of hubs in common; on the diagonal that of two halves of the documents."""
    share = np.full((len(items), len(items)), np.nan)
    for i, first in enumerate(items):
        for j, second in enumerate(items):
            common = overlap(first, second, null)
            share[i, j] = np.nan if common is None else common.share
    title = (
        f"{about}: hubs in common; diagonal: two halves of the documents; hatched: other neurons"
    )
    cell = min(0.45, max(_ROW, 10 / len(items)))
    size = min(8.0, 50 * cell)  # points; an inch has 72
    names = 0.6 * size / 72 * max(len(item.label) for item in items)
    side = max(3.0, cell * len(items))
    figure, axes = single(title, (side + names + 1.4, side + 0.75 * names + 0.6))
    image = axes.imshow(share, cmap=SHARES, vmin=0, vmax=1)
    write_values(axes, image)
    for i, j in np.ndindex(share.shape):
        if items[i].space.unlike(items[j].space):
            box = Rectangle(
                (j - 0.5, i - 0.5), 1, 1, fill=False, hatch="///", lw=0, edgecolor="0.7"
            )
            axes.add_patch(box)
    name_rows_and_columns(axes, [item.label for item in items], size)
    figure.colorbar(image, ax=axes, label="share of hubs in common (dimensionless)")
    return figure
