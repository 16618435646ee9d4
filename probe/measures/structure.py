"""Unweighted measures of a graph's structure."""

import numpy as np

from probe.measures.compiled import networkit
from probe.measures.graph import Graph


def clustering(graph: Graph) -> float | None:
    """Mean over all nodes of the share of a node's pairs of neighbours that are connected.

    Dimensionless, 0 to 1; a node with fewer than two neighbours counts as 0 (Watts & Strogatz
    1998; same convention as networkx). None for a graph without nodes.
    """
    if graph.n == 0:
        return None
    local = networkit().centrality.LocalClusteringCoefficient
    # Turbo: every triangle is found once, from its two nodes of lower degree.
    found = local(graph.weighted, turbo=True).run()
    return float(np.mean(found.scores()))


def path_length(graph: Graph) -> float | None:
    """Mean shortest path length between two nodes of the largest component.

    In hops (Watts & Strogatz 1998). None if no two nodes are connected.
    """
    graph = graph.largest_component()
    n = graph.n
    if n < 2:
        return None
    near = graph.adjacency() | np.eye(n, dtype=bool)
    around = [np.flatnonzero(row) for row in near]
    # One row of bits per node: the nodes within k hops. All searches advance one hop at a time.
    reached = np.packbits(near, axis=1)
    counts = near.sum(axis=1)
    hops = n * (n - 1)
    while len(open_ := np.flatnonzero(counts < n)):
        hops += int((n - counts[open_]).sum())  # pairs farther apart need at least one hop more
        farther = [np.bitwise_or.reduce(reached[around[node]], axis=0) for node in open_]
        reached[open_] = farther
        counts[open_] = np.unpackbits(reached[open_], axis=1).sum(axis=1)
    return hops / (n * (n - 1))


def assortativity(graph: Graph) -> float | None:
    """Pearson correlation between the degrees at the two ends of an edge, over all edges.

    Dimensionless, -1 to 1 (Newman 2002, Phys. Rev. Lett. 89, 208701). None if the degrees at
    the ends do not vary.
    """
    ends = graph.degrees[np.stack([graph.first, graph.second])].astype(np.float64)
    if ends.size == 0 or np.ptp(ends) == 0:
        return None
    return float(np.corrcoef(ends.ravel(), ends[::-1].ravel())[0, 1])


def hub_degree(graph: Graph, hubs: int) -> int | None:
    """Degree that at most `hubs` nodes exceed: that of the first node after the hubs."""
    if not 0 < hubs < graph.n:
        return None
    return int(np.sort(graph.degrees)[-hubs - 1])


def rich_club(graph: Graph, degree: int) -> float | None:
    """Share of connected pairs among the nodes of more than this degree.

    Dimensionless, 0 to 1 (Zhou & Mondragón 2004): φ(k) of Colizza et al. 2006. None for fewer than
    two such nodes.
    """
    rich = graph.degrees > degree
    count = int(rich.sum())
    if count < 2:
        return None
    connected = np.count_nonzero(rich[graph.first] & rich[graph.second])
    return float(2 * connected / (count * (count - 1)))
