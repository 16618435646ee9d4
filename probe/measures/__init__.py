"""Summary numbers of a topology: of its entries, its spectrum and the graph of its strongest edges.

>>> from probe import api
>>> topology = api.load_topology("outputs/…")                        # doctest: +SKIP
>>> api.measure(topology).numbers()["modularity"]                    # doctest: +SKIP
0.231

The sign of a neuron is arbitrary (flipping it leaves the model unchanged), so edges are weighted
by |r|. Undefined neurons are left out everywhere. None marks a measure that is undefined, such as
the path length of a graph without edges, or was not computed (see `Measures.skipped`).
"""

from probe.measures.defined import cross_part
from probe.measures.entries import THRESHOLDS, basic, cross_basic, edges, gini, strengths
from probe.measures.graph import Graph
from probe.measures.graph_measures import GraphMeasures
from probe.measures.hubs import HUB_SHARE, hubs_of, partners
from probe.measures.spectrum import Spectrum
from probe.measures.summary import DEFINITION, REDEFINED, Measures, measure
