"""Measures of the graph of the strongest correlations, against rewired graphs."""

from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.measures.communities import communities
from probe.measures.graph import Graph, Nodes
from probe.measures.rewiring import rewired
from probe.measures.structure import assortativity, clustering, hub_degree, path_length, rich_club
from probe.topology import sparsify


@dataclass(frozen=True)
class GraphMeasures:
    """Measures of the graph at one density; weights are |r|.

    Rewired graphs are random graphs with the same degrees and weights; a measure of them is the
    mean over `measures.rewired` graphs. None marks what is undefined or was not computed.

    Attributes
    ----------
    density : float
        Requested share of edges.
    rule : str
        What it is a share of; see `probe.topology.sparsify`.
    threshold : float or None
        Smallest |r| among the edges, dimensionless.
    edges : int
        Number of edges.
    components : int
        Number of connected components; an isolated neuron counts as one.
    largest_share : float or None
        Share of the neurons in the largest component.
    clustering : float or None
        Mean share of a neuron's pairs of neighbours that are connected, unweighted.
    path_length : float or None
        Mean shortest path within the largest component, in hops.
    communities : int or None
        Number of communities with at least two neurons.
    modularity, modularity_null : float or None
        Weighted modularity of the communities, and the same for rewired graphs.
    small_world : float or None
        `(C/C_rewired)/(L/L_rewired)` with clustering C and path length L, all of the largest
        component, dimensionless (Humphries & Gurney 2008, doi:10.1371/journal.pone.0002051, with
        degrees preserved). `largest_share` says how much of the graph that is.
    assortativity : float or None
        Correlation between the degrees at the two ends of an edge.
    rich_club : float or None
        Share of connected pairs among neurons with more than `rich_club_degree` edges, divided by
        that in rewired graphs (Colizza et al. 2006, doi:10.1038/nphys209): above 1, hubs connect
        to hubs more than their degrees alone imply.
    rich_club_degree : int or None
        The degree that the hubs exceed: the degree of the highest-ranked neuron after them.
    """

    density: float
    rule: str
    threshold: float | None
    edges: int
    components: int
    largest_share: float | None
    clustering: float | None
    path_length: float | None
    communities: int | None
    modularity: float | None
    modularity_null: float | None
    small_world: float | None
    assortativity: float | None
    rich_club: float | None
    rich_club_degree: int | None

    def numbers(self) -> dict[str, float]:
        """Return the measures that are not None, by name."""
        values = asdict(self)
        del values["density"], values["rule"]
        return {name: float(value) for name, value in values.items() if value is not None}


def graph_measures(
    matrix: NDArray[np.float32], density: float, hubs: int, settings: MeasuresConfig
) -> tuple[GraphMeasures, Nodes | None, dict[str, str]]:
    """Measure the graph of a matrix at one density.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations of defined neurons.
    density : float
        Share of the strongest |r| that become edges.
    hubs : int
        Number of neurons in the rich club.
    settings : MeasuresConfig
        Rule, number of rewired graphs, seed.

    Returns
    -------
    measures : GraphMeasures
    labels : ndarray of int64, shape (n_neurons,), or None
        Community of every neuron, 0 the largest; None if they were not computed.
    skipped : dict of str to str
        Measures that were not computed, and why.
    """
    graph = Graph.of(sparsify(matrix, density, settings.density_rule))
    skipped = _too_large(graph, settings.rewired)
    sizes = np.bincount(graph.components())
    degree = hub_degree(graph, hubs)
    labels, modularity = None, None
    if "communities" not in skipped:
        labels, modularity = communities(graph, _generator(settings, "communities"))
    null = defaultdict(list) if skipped.keys() & NULL else _null(graph, degree, settings)
    path = None if "path_length" in skipped else path_length(graph)
    measures = GraphMeasures(
        density=float(density),
        rule=str(settings.density_rule),
        threshold=float(graph.weight.min()) if graph.edges else None,
        edges=graph.edges,
        components=len(sizes),
        largest_share=float(sizes.max() / graph.n) if graph.n else None,
        clustering=None if "clustering" in skipped else clustering(graph),
        path_length=path,
        communities=None if labels is None else int((np.bincount(labels) > 1).sum()),
        modularity=modularity,
        modularity_null=_mean(null["modularity"]),
        small_world=_small_world(graph, path, null),
        assortativity=assortativity(graph),
        rich_club=None if degree is None else _over(rich_club(graph, degree), null["rich_club"]),
        rich_club_degree=degree,
    )
    return measures, labels, skipped


NULL = ("small_world", "rich_club", "modularity_null")
# The limits keep one matrix within about a minute on one core. Seconds for 4,096 neurons and
# 840,000 edges: clustering .4, path length .3, communities .8; rewiring 1.1, and 1.5 for theirs.
NEURONS, EDGES, REWIRED_EDGES = 8192, 4_000_000, 8_000_000
Null = dict[str, list[float | None]]


def _too_large(graph: Graph, rewirings: int) -> dict[str, str]:
    """Return the measures that would take too long, and why."""
    costs = [
        (("clustering", "path_length"), graph.n, NEURONS, "neurons"),
        (("communities", "modularity"), graph.edges, EDGES, "edges"),
        (NULL, graph.n if rewirings else 0, NEURONS, "neurons of rewired graphs"),
        (NULL, graph.edges * rewirings, REWIRED_EDGES, "edges of rewired graphs"),
    ]
    return {
        name: f"{amount:,} {unit} are more than {limit:,}"
        for names, amount, limit, unit in costs
        for name in names
        if amount > limit
    }


def _null(graph: Graph, degree: int | None, settings: MeasuresConfig) -> Null:
    """Measure rewired graphs, one at a time."""
    null: Null = defaultdict(list)
    component = graph.largest_component()
    for number in range(settings.rewired if graph.edges else 0):
        part = random = rewired(component, _generator(settings, "component", number))
        if component.edges < graph.edges:  # or the other nodes have no edges to rewire
            random = rewired(graph, _generator(settings, "rewired", number))
        if degree is not None:
            null["rich_club"].append(rich_club(random, degree))
        orders = _generator(settings, "communities", number)
        null["modularity"].append(communities(random, orders)[1])
        null["clustering"].append(clustering(part))
        null["path_length"].append(path_length(part))
    return null


def _small_world(graph: Graph, path: float | None, null: Null) -> float | None:
    if not null["clustering"]:
        return None
    local = _over(clustering(graph.largest_component()), null["clustering"])
    path = _over(path, null["path_length"])
    return None if local is None or path is None else local / path


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def _over(value: float | None, null: list[float | None]) -> float | None:
    """Divide by the mean of the null; None if that is missing or 0."""
    mean = _mean(null)
    return None if value is None or not mean else value / mean


def _generator(settings: MeasuresConfig, purpose: str, number: int = -1) -> np.random.Generator:
    """Give every purpose its own random stream, whatever else is computed or skipped."""
    return np.random.default_rng([settings.seed, *purpose.encode(), number + 1])
