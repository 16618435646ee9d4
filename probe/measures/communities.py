"""Communities: groups of neurons that are joined more among themselves than with others."""

from __future__ import annotations

import numpy as np

from probe.measures.graph import Graph, Nodes

# Louvain's result depends on the order in which it visits the nodes; the best of so many is taken.
STARTS = 2


def communities(graph: Graph, rng: np.random.Generator) -> tuple[Nodes, float | None]:
    """Find communities by Louvain's method, the best of several random orders.

    Parameters
    ----------
    graph : Graph
        Graph whose communities to find.
    rng : Generator
        Source of the orders.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        Community of every node, 0 the largest; of equals, that of the first node comes first. A
        node without edges is a community of its own.
    score : float or None
        Their modularity, None without edges.
    """
    if graph.edges == 0:
        return np.arange(graph.n), None
    found = [louvain(graph, rng) for _ in range(STARTS)]
    scores = [modularity(graph, labels) for labels in found]
    best = int(np.argmax(scores))
    return _by_size(found[best]), scores[best]


def modularity(graph: Graph, labels: Nodes) -> float:
    """Weight within communities, less what chance gives: `Σ_c [L_c/m - (s_c/2m)²]`.

    L_c is a community's inner weight, s_c the sum of its nodes' weights, m the whole weight.
    Dimensionless, below 1 (Newman & Girvan 2004; with weights, Newman 2004).
    """
    inside = graph.weight[labels[graph.first] == labels[graph.second]].sum()
    ends = np.concatenate([labels[graph.first], labels[graph.second]])
    sums = np.bincount(ends, np.concatenate([graph.weight, graph.weight]))
    total = graph.weight.sum()
    return float(inside / total - (sums**2).sum() / (2 * total) ** 2)


def louvain(graph: Graph, rng: np.random.Generator) -> Nodes:
    """Raise modularity by moving nodes, then the communities found as nodes, and so on.

    Blondel et al. 2008 (doi:10.1088/1742-5468/2008/10/P10008), as networkx does it.

    Parameters
    ----------
    graph : Graph
        Graph with one edge or more.
    rng : Generator
        Source of the order in which nodes are visited.

    Returns
    -------
    ndarray of int64, shape (n,)
        Community of every node, in no order.
    """
    import networkx

    known = networkx.Graph()
    known.add_nodes_from(range(graph.n))
    known.add_weighted_edges_from(
        zip(graph.first.tolist(), graph.second.tolist(), graph.weight.tolist(), strict=True)
    )
    labels = np.empty(graph.n, dtype=np.int64)
    seed = int(rng.integers(1 << 31))
    for number, nodes in enumerate(networkx.community.louvain_communities(known, seed=seed)):
        labels[list(nodes)] = number
    return labels


def _by_size(labels: Nodes) -> Nodes:
    """Renumber communities, the largest first; of equals, that of the first node."""
    _, first, number, size = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[number]
