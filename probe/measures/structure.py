"""Unweighted measures of a graph's structure."""

import numpy as np

from probe.measures.graph import Graph


def clustering(graph: Graph) -> float | None:
    """Mean over all nodes of the share of a node's pairs of neighbours that are connected.

    Dimensionless, 0 to 1; a node with fewer than two neighbours counts as 0 (Watts & Strogatz
    1998; same convention as networkx). None for a graph without nodes.
    """
    if graph.n == 0:
        return None
    adjacent = graph.adjacency().astype(np.float32)
    # Twice the triangles at each node. Path counts stay below 2²⁴, where float32 is exact.
    paths = adjacent @ adjacent
    triangles = np.einsum("ij,ij->i", paths, adjacent, dtype=np.float64)
    degrees = graph.degrees.astype(np.float64)
    return float((triangles / np.maximum(degrees * (degrees - 1), 1)).mean())


def path_length(graph: Graph) -> float | None:
    """Mean shortest path length between two nodes of the largest component.

    In hops (Watts & Strogatz 1998). None if no two nodes are connected.
    """
    graph = graph.largest_component()
    if graph.n < 2:
        return None
    around = [np.flatnonzero(row) for row in graph.adjacency() | np.eye(graph.n, dtype=bool)]
    # One row of bits per node: the nodes within k hops. All searches advance one hop at a time.
    reached = np.packbits(np.eye(graph.n, dtype=bool), axis=1)
    hops = 0
    while far := graph.n**2 - int(np.unpackbits(reached).sum(dtype=np.int64)):
        hops += far  # pairs farther apart than k hops need at least one more
        reached = np.stack([np.bitwise_or.reduce(reached[nodes], axis=0) for nodes in around])
    return hops / (graph.n * (graph.n - 1))


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
