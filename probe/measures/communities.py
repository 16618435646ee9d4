"""Communities: groups of neurons more densely connected within than between groups."""

from functools import partial

import numpy as np

from probe.measures.compiled import networkit, repeatable
from probe.measures.graph import Graph, Nodes

# Louvain depends on the order in which it visits the nodes, and some graphs have many partitions
# almost as good. So the best of a few runs is searched around; an attempt costs a tenth of a run.
STARTS, ATTEMPTS = 3, 24
NODES, COMMUNITIES = 0.3, 0.2  # shares that are grouped anew, in turn


def communities(graph: Graph, rng: np.random.Generator) -> tuple[Nodes, float | None]:
    """Find communities by the Louvain method, and better ones around them.

    Of a few runs, what the best and another agree on stays together, and all else is grouped anew,
    by the same method on the graph of those groups (Ovelgönne & Geyer-Schulz 2013). Then, again and
    again, a random share of the nodes, or the nodes of a random share of the communities, are
    grouped anew (iterated greedy search: Sánchez-Oro & Duarte 2018). The best is kept.

    Parameters
    ----------
    graph : Graph
        Graph to partition.
    rng : Generator
        Source of the visiting orders, and of what is grouped anew.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        Community of every node, 0 the largest; ties go to the one with the lowest node. A node
        without edges is its own community.
    score : float or None
        Modularity; None for a graph without edges.
    """
    if graph.edges == 0:
        return np.arange(graph.n), None
    runs = [louvain(graph, rng) for _ in range(STARTS)]
    runs.sort(key=partial(modularity, graph))
    score = modularity(graph, best := runs.pop())
    for attempt in range(len(runs) + ATTEMPTS):
        groups = _shared(best, runs.pop()) if runs else _loosened(best, attempt % 2 == 0, rng)
        whole = _joined(graph, groups)
        found = louvain(whole, rng)
        if (higher := modularity(whole, found)) > score:
            best, score = found[groups], higher
    return _by_size(best), modularity(graph, best)


def _shared(one: Nodes, other: Nodes) -> Nodes:
    """Group the nodes that are together in both of two partitions."""
    return _numbered(one * (other.max() + 1) + other)


def _loosened(labels: Nodes, whole: bool, rng: np.random.Generator) -> Nodes:
    """Let a random share of the nodes, or of whole communities, be groups of their own."""
    count, n = int(labels.max()) + 1, len(labels)
    alone = (rng.random(count) < COMMUNITIES)[labels] if whole else rng.random(n) < NODES
    return _numbered(np.where(alone, count + np.arange(n), labels))


def _numbered(groups: Nodes) -> Nodes:
    return np.unique(groups, return_inverse=True)[1]


def _joined(graph: Graph, groups: Nodes) -> Graph:
    """Return the graph of the groups; the weight within one is that of an edge to itself.

    A partition of it has the modularity of that of the nodes.
    """
    n = int(groups.max()) + 1
    ends = groups[graph.first], groups[graph.second]
    pair = np.minimum(*ends) * n + np.maximum(*ends)
    weight = np.asarray(np.bincount(pair, graph.weight), dtype=np.float64)
    pairs = np.flatnonzero(weight > 0)  # of booleans it is several times faster
    return Graph(n, pairs // n, pairs % n, weight[pairs])


def modularity(graph: Graph, labels: Nodes) -> float:
    """Weight within communities, minus the weight expected by chance: `Σ_c [L_c/m - (s_c/2m)²]`.

    L_c is the weight within a community, s_c the sum of its nodes' strengths, m the total weight.
    Dimensionless, below 1 (Newman & Girvan 2004; with weights, Newman 2004).
    """
    inside = graph.weight[labels[graph.first] == labels[graph.second]].sum()
    ends = np.concatenate([labels[graph.first], labels[graph.second]])
    sums = np.bincount(ends, np.concatenate([graph.weight, graph.weight]))
    total = graph.weight.sum()
    return float(inside / total - (sums**2).sum() / (2 * total) ** 2)


def louvain(graph: Graph, rng: np.random.Generator) -> Nodes:
    """Increase modularity by moving nodes, then whole communities as nodes, until it stops growing.

    The Louvain method (Blondel et al. 2008, doi:10.1088/1742-5468/2008/10/P10008) with refinement:
    single nodes may move once more whenever communities have been joined (Rotta & Noack 2011,
    doi:10.1145/1963190.1970376), as implemented in NetworKit (Staudt & Meyerhenke 2016,
    doi:10.1109/TPDS.2015.2390633).

    Parameters
    ----------
    graph : Graph
        Graph with at least one edge.
    rng : Generator
        Source of the visiting order.

    Returns
    -------
    ndarray of int64, shape (n,)
        Community of every node, in no particular order.
    """
    method = networkit().community.PLM
    with repeatable(rng):
        found = method(graph.weighted, refine=True, par="none randomized").run()
    return np.array(found.getPartition().getVector(), dtype=np.int64)


def _by_size(labels: Nodes) -> Nodes:
    """Renumber communities by falling size; ties go to the one with the lowest node."""
    _, first, number, size = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[number]
