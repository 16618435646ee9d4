"""Figures of topologies. They are returned, never shown, never saved."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from probe.measures import Measures
from probe.plots.contrast import beside, comparison
from probe.plots.cross import cross_layers
from probe.plots.distributions import histogram, spectrum, strength_distribution
from probe.plots.layers import hub_overlap, measures_by_layer
from probe.plots.matrix import MOST_NODES, heatmap
from probe.plots.style import title
from probe.plots.sweeps import sweep
from probe.topology import Topology

__all__ = [
    "MOST_NODES",
    "MOST_PAIRS",
    "beside",
    "comparison",
    "cross_layers",
    "figures",
    "heatmap",
    "histogram",
    "hub_overlap",
    "measures_by_layer",
    "run_figures",
    "spectrum",
    "strength_distribution",
    "sweep",
    "title",
]

# Pairs of layers up to which each has figures of its own.
MOST_PAIRS = 10


def figures(topology: Topology, measures: Measures) -> dict[str, Figure]:
    """Draw every figure of a topology, by name."""
    if topology.kind == "cross":
        return {
            "heatmap": heatmap(topology, measures),
            "histogram": histogram(topology, measures),
        }
    found = {
        "heatmap": heatmap(topology, measures),
        "strength": strength_distribution(topology, measures),
        "histogram": histogram(topology, measures),
    }
    return (
        found if measures.spectrum is None else found | {"spectrum": spectrum(topology, measures)}
    )


def run_figures(measured: Sequence[tuple[Topology, Measures]]) -> dict[str, Figure]:
    """Draw what compares a run's layers, or pairs of layers, by name; nothing where there is one.

    Layers do not share hubs where their neurons are not of one residual stream (`site=mlp`).
    """
    crossed = [pair for pair in measured if pair[0].kind == "cross"]
    if len({topology.layers for topology, _ in crossed}) > 1:
        return {"cross_layers": cross_layers(crossed)}
    layers = [pair for pair in measured if pair[0].layer is not None]
    if len({topology.layer for topology, _ in layers}) < 2:
        return {}
    drawn = {"measures_by_layer": measures_by_layer(layers)}
    if layers[0][0].site != "mlp":
        drawn["hub_overlap"] = hub_overlap(layers)
    return drawn
