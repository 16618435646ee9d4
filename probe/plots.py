"""Figures of a topology. They are returned, never shown, never saved."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe.measures import Measures, edges, strengths
from probe.topology import Topology

# Beyond this a heat map is drawn from means of blocks: no screen has the pixels.
MOST_NODES = 4096
_BLUE, _ORANGE = "#0072B2", "#D55E00"  # told apart by colour-blind readers (Okabe and Ito)


def figures(topology: Topology, measures: Measures) -> dict[str, Figure]:
    """Draw every figure of a topology, by name."""
    return {
        "heatmap": heatmap(topology),
        "strength": strength_distribution(topology, measures),
        "histogram": histogram(topology, measures),
    }


def title(topology: Topology) -> str:
    """Say what a figure shows."""
    data = topology.data + (f" {topology.subject}" if topology.subject not in (None, "all") else "")
    what = topology.name.replace("_", " ")
    init = "" if topology.init == "pretrained" else f", {topology.init} weights"
    site = "" if topology.site == "residual" else f", {topology.site}"
    average = f"{topology.scheme}, {topology.examples} examples"
    return f"{topology.model}{init} on {data}: {what}{site} ({average})"


def heatmap(topology: Topology) -> Figure:
    """Draw the matrix, neurons ordered by strength, from -1 to 1, grey where r says nothing."""
    order = np.argsort(-strengths(topology), kind="stable")
    matrix = topology.matrix[np.ix_(order, order)].astype(np.float32)
    np.fill_diagonal(matrix, np.nan)
    undefined = np.isin(order, topology.undefined)
    matrix[undefined], matrix[:, undefined] = np.nan, np.nan
    step = -(-len(matrix) // MOST_NODES)
    note = "" if step == 1 else f" (means of blocks of {step} by {step})"
    figure, axes = _axes(topology, (7.2, 6))
    image = axes.imshow(
        _blocks(matrix, step),
        cmap=colormaps["RdBu_r"].with_extremes(bad="0.75"), vmin=-1, vmax=1,
        extent=(0, len(matrix), len(matrix), 0),
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="correlation r")
    axes.set(xlabel=f"neuron by rank of strength{note}", ylabel="neuron by rank of strength")
    return figure


def strength_distribution(topology: Topology, measures: Measures) -> Figure:
    """Draw the neurons' strengths from the strongest on, with the strongest ones named."""
    strength = np.sort(np.delete(strengths(topology), topology.undefined))[::-1]
    figure, axes = _axes(topology, (7.2, 4))
    rank = np.arange(1, len(strength) + 1)
    axes.plot(rank, strength, color=_BLUE, lw=1.5)
    axes.axhline(measures.strength_mean, color=_ORANGE, ls="--", lw=1)
    axes.annotate(
        f"mean {measures.strength_mean:.1f}", (len(strength), measures.strength_mean),
        ha="right", va="bottom", color=_ORANGE,
    )  # fmt: skip
    hubs = ", ".join(str(neuron) for neuron, _ in measures.hubs[:5])
    axes.text(
        0.98, 0.95, f"hubs: {hubs}\nGini {measures.strength_gini:.3f}",
        transform=axes.transAxes, ha="right", va="top",
    )  # fmt: skip
    axes.set(xlabel="neuron by rank of strength", ylabel="strength Σ|r|")
    axes.set(xlim=(0.5, max(1, len(strength)) + 0.5), ylim=(0, None))
    return figure


def histogram(topology: Topology, measures: Measures) -> Figure:
    """Draw how often each value of r occurs among the pairs of different neurons."""
    r = edges(topology)
    figure, axes = _axes(topology, (7.2, 4))
    axes.hist(r, bins=np.linspace(-1, 1, 201).tolist(), color=_BLUE, log=r.size > 0)
    axes.axvline(0, color="0.4", lw=0.8)
    axes.text(
        0.02, 0.95, f"mean |r| {measures.mean_abs_r:.3f}\nmean r {measures.mean_r:+.3f}",
        transform=axes.transAxes, ha="left", va="top",
    )  # fmt: skip
    axes.set(xlabel="correlation r", ylabel="pairs of neurons", xlim=(-1, 1))
    return figure


def _axes(topology: Topology, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.set_title(title(topology), fontsize=9)
    return figure, axes


def _blocks(matrix: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    if step == 1:
        return matrix
    starts = np.arange(0, len(matrix), step)
    total = np.add.reduceat(np.add.reduceat(np.nan_to_num(matrix), starts, 0), starts, 1)
    counted = np.isfinite(matrix).astype(np.float32)
    count = np.add.reduceat(np.add.reduceat(counted, starts, 0), starts, 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
