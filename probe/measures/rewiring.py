"""A null model of graphs: random graphs with the degrees of a given one."""

import numpy as np

from probe.measures.graph import Graph, Nodes

# A round tries every edge once, two edges a swap: 20 rounds are the usual ten swaps per edge.
# Clustering of heavy-tailed graphs of 896 to 3,584 nodes settles within five to ten rounds.
ROUNDS = 20


def rewired(graph: Graph, rng: np.random.Generator, rounds: int = ROUNDS) -> Graph:
    """Swap the ends of pairs of edges: (a, b), (c, d) become (a, d), (c, b).

    Degrees are preserved; node strengths are not, because an edge keeps its weight (Maslov &
    Sneppen 2002, Science 296, 910). All edges are paired at random and swapped simultaneously. A
    swap is rejected if it would create a self-loop, an existing edge, or an edge that another swap
    creates or removes. The last rule makes the Markov chain symmetric, as for single swaps: a swap
    is as likely as its reverse, so no graph is preferred.

    Parameters
    ----------
    graph : Graph
        Graph whose degrees to preserve.
    rng : Generator
        Source of the pairings.
    rounds : int
        How often to try every edge.
    """
    n, half = graph.n, graph.edges // 2
    first, second = graph.first.copy(), graph.second.copy()
    present = np.zeros(n * n, dtype=bool)
    present[_key(first, second, n)] = True
    claims = np.zeros(n * n, dtype=np.uint16)  # swaps that would create an edge: fewer than nodes
    for _ in range(rounds):
        order = rng.permutation(graph.edges)
        one, other = order[:half], order[half : 2 * half]
        a, b = first[one], second[one]
        turn = rng.random(half) < 0.5  # otherwise a weight would stay with its edge's first end
        c = np.where(turn, second[other], first[other])
        d = np.where(turn, first[other], second[other])
        old = np.stack([_key(a, b, n), _key(c, d, n)])
        new = np.stack([_key(a, d, n), _key(c, b, n)])
        np.add.at(claims, new.ravel(), 1)
        free = (claims[new] == 1) & (claims[old] == 0) & ~present[new]
        claims[new] = 0
        swap = free.all(axis=0) & (a != d) & (c != b)
        present[old[:, swap]] = False
        present[new[:, swap]] = True
        first[one[swap]], second[one[swap]] = a[swap], d[swap]
        first[other[swap]], second[other[swap]] = c[swap], b[swap]
    return Graph(n, first, second, graph.weight)


def _key(a: Nodes, b: Nodes, n: int) -> Nodes:
    """Return the same number for an edge whichever end comes first."""
    return np.minimum(a, b) * n + np.maximum(a, b)
