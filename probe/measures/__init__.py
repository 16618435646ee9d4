"""Numbers that sum up a topology: its entries, its spectrum, and the graphs of its strongest edges.

>>> from probe import api
>>> topology = api.load_topology("outputs/…")                        # doctest: +SKIP
>>> api.measure(topology).numbers()["modularity"]                    # doctest: +SKIP
0.231

The sign of a neuron is arbitrary (flipping one leaves the model unchanged), so that graphs have
weights |r|. Undefined neurons are left out of everything. None stands for what is not defined, as
the path length of a graph without edges, or was not computed (see `Measures.skipped`).
"""

from probe.measures.cross import cross_basic, cross_part
from probe.measures.entries import THRESHOLDS, basic, edges, gini, strengths
from probe.measures.graph import Graph
from probe.measures.graphs import GraphMeasures
from probe.measures.spectrum import Spectrum
from probe.measures.summary import Measures, measure

__all__ = [
    "THRESHOLDS",
    "Graph",
    "GraphMeasures",
    "Measures",
    "Spectrum",
    "basic",
    "cross_basic",
    "cross_part",
    "edges",
    "gini",
    "measure",
    "strengths",
]
