"""Measures of a graph's structure; weights play no part in them."""

from __future__ import annotations

import numpy as np

from probe.measures.graph import Graph


def clustering(graph: Graph) -> float | None:
    """Mean over all nodes of the share of a node's pairs of neighbours that are joined.

    Dimensionless, 0 to 1; a node with fewer than two neighbours counts as 0 (Watts & Strogatz
    1998; the convention is networkx's). None for a graph without nodes.
    """
    if graph.n == 0:
        return None
    adjacent = graph.adjacency().astype(np.float32)
    # Twice a node's triangles. Counts of paths stay below 2²⁴, where float32 is exact.
    paths = adjacent @ adjacent
    triangles = np.einsum("ij,ij->i", paths, adjacent, dtype=np.float64)
    degrees = graph.degrees.astype(np.float64)
    return float((triangles / np.maximum(degrees * (degrees - 1), 1)).mean())


def path_length(graph: Graph) -> float | None:
    """Mean number of edges on the shortest path between two nodes of the largest component.

    In hops (Watts & Strogatz 1998). None where no two nodes are joined.
    """
    graph = graph.largest_component()
    if graph.n < 2:
        return None
    around = [np.flatnonzero(row) for row in graph.adjacency() | np.eye(graph.n, dtype=bool)]
    # A set of nodes is a row of bits. All searches grow by one hop at a time, together.
    reached = np.packbits(np.eye(graph.n, dtype=bool), axis=1)
    hops = 0
    while far := graph.n**2 - int(np.unpackbits(reached).sum(dtype=np.int64)):
        hops += far  # pairs that are not within k hops have one hop more than k at least
        reached = np.stack([np.bitwise_or.reduce(reached[nodes], axis=0) for nodes in around])
    return hops / (graph.n * (graph.n - 1))


def assortativity(graph: Graph) -> float | None:
    """Pearson correlation between the degrees at the two ends of an edge, over all edges.

    Dimensionless, -1 to 1 (Newman 2002, Phys. Rev. Lett. 89, 208701). None where the ends' degrees
    do not vary.
    """
    ends = graph.degrees[np.stack([graph.first, graph.second])].astype(np.float64)
    if ends.size == 0 or np.ptp(ends) == 0:
        return None
    return float(np.corrcoef(ends.ravel(), ends[::-1].ravel())[0, 1])


def hub_degree(graph: Graph, hubs: int) -> int | None:
    """Degree that at most so many nodes exceed: that of the node which comes after the hubs."""
    if not 0 < hubs < graph.n:
        return None
    return int(np.sort(graph.degrees)[-hubs - 1])


def rich_club(graph: Graph, degree: int) -> float | None:
    """Share of the pairs of nodes of more than this degree that are joined.

    Dimensionless, 0 to 1 (Zhou & Mondragón 2004), the φ(k) of Colizza et al. 2006. None for fewer
    than two such nodes.
    """
    rich = graph.degrees > degree
    count = int(rich.sum())
    if count < 2:
        return None
    joined = np.count_nonzero(rich[graph.first] & rich[graph.second])
    return float(2 * joined / (count * (count - 1)))
