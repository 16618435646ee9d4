"""Figures of topologies. Functions return them; they never show or save them."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from probe.measures import Measures
from probe.plots.contrast import comparison, side_by_side
from probe.plots.distributions import histogram, spectrum, strength_distribution
from probe.plots.layers import cross_layers, hub_overlap, measures_by_layer
from probe.plots.matrix import MOST_NODES, heatmap
from probe.plots.style import title
from probe.plots.sweeps import sweep
from probe.topology import WITHOUT_SINKS, Topology

# Up to this many pairs of layers, each gets its own figures.
MOST_PAIRS = 10


def figures(topology: Topology, measures: Measures) -> dict[str, Figure]:
    """Draw every figure of a topology, by name."""
    drawn = {"heatmap": heatmap(topology, measures)}
    if topology.kind != "cross":
        drawn["strength"] = strength_distribution(topology, measures)
    drawn["histogram"] = histogram(topology, measures)
    if measures.spectrum is not None:
        drawn["spectrum"] = spectrum(topology, measures)
    return drawn


def run_figures(measured: Sequence[tuple[Topology, Measures]]) -> dict[str, Figure]:
    """Draw the figures that compare a run's layers or pairs of layers, by name; none for one layer.

    With `site=mlp` there is no hub overlap: a neuron's index means nothing in another layer.
    """
    crossed = [pair for pair in measured if pair[0].kind == "cross"]
    if len({topology.layers for topology, _ in crossed}) > 1:
        return {"cross_layers": cross_layers(crossed)}
    layers = [pair for pair in measured if pair[0].layer is not None]
    if len({topology.layer for topology, _ in layers}) < 2:
        return {}
    drawn = {}
    for beside in sorted({topology.beside for topology, _ in layers}):
        some = [pair for pair in layers if pair[0].beside is beside]
        suffix = WITHOUT_SINKS if beside else ""
        drawn[f"measures_by_layer{suffix}"] = measures_by_layer(some)
        if layers[0][0].site != "mlp":
            drawn[f"hub_overlap{suffix}"] = hub_overlap(some)
    return drawn
