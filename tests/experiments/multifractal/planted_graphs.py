"""Networks whose multifractal exponents are known, and masses of boxes by brute force."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from experiments.multifractal.network import Link, Network
from experiments.multifractal.paths import Paths

Array = NDArray[Any]


def initialised(n_blocks: int, size: int, into: float, out: float, seed: int) -> Network:
    """Draw the published network of a GPT-NeoX as it is initialised, sampled entries only."""
    rng, links = np.random.default_rng(seed), list[Link]()
    invented = np.vstack([np.eye(size), np.ones((2 * size, size))])

    def draw(scale: float, *shape: int) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    for first in range(0, 5 * n_blocks, 5):
        links += [
            Link(first, first + 1, draw(into, size, 3 * size)),
            Link(first + 1, first + 2, invented, invented=True),
            Link(first + 2, first + 3, draw(out, size, size)),
            Link(first + 3, first + 4, draw(into, size, 2 * size)),
            Link(first + 4, first + 5, draw(out, 2 * size, size)),
        ]
    return Network((size, 3 * size, size, size, 2 * size) * n_blocks + (size,), tuple(links))


def layers_of(generator: np.random.Generator, *sizes: int) -> list[Array]:
    """Draw a chain of weights, as they are where training begins."""
    return [generator.normal(0, 0.05, shape) for shape in pairwise(sizes)]


def all_distances(paths: Paths, sizes: Sequence[int]) -> Array:
    """Put the distances from every layer into one matrix, inf where there is no path."""
    starts = np.append(0, np.cumsum(sizes))
    found = np.full((starts[-1], starts[-1]), np.inf)
    for source in range(len(sizes)):
        for target, distances in paths.from_layer(source):
            rows = slice(starts[source], starts[source + 1])
            found[rows, starts[target] : starts[target + 1]] = distances
    return found


def hops(graph: nx.Graph) -> Array:
    """Return the number of edges between all nodes."""
    adjacency = nx.to_scipy_sparse_array(graph, weight=None)
    return np.asarray(shortest_path(adjacency, directed=False, unweighted=True))


def masses(distances: Array, radii: Sequence[float], itself: bool = True) -> Array:
    """Count nodes within every radius of every node, with or without the node itself."""
    within = np.stack([(distances <= radius).sum(axis=1) for radius in radii], axis=1)
    return within if itself else within - 1


def cantor(generator: Sequence[int], generations: int) -> tuple[Array, Array]:
    """Return positions and masses of points of a multiplicative cascade."""
    points, weights = np.zeros(1, dtype=int), np.ones(1, dtype=int)
    for _ in range(generations):
        points = (len(generator) * points[:, None] + np.arange(len(generator))).ravel()
        weights = (weights[:, None] * np.array(generator)).ravel()
        points, weights = points[weights > 0], weights[weights > 0]
    return points, weights


def cantor_masses(generator: Sequence[int], generations: int, radii: Sequence[float]) -> Array:
    """Return the mass within every radius, a row for every unit of mass."""
    points, weights = cantor(generator, generations)
    total = np.append(0, np.cumsum(weights))
    columns = [
        total[np.searchsorted(points, points + radius, side="right")]
        - total[np.searchsorted(points, points - radius)]
        for radius in radii
    ]
    return np.repeat(np.stack(columns, axis=1), weights, axis=0)


def flower(u: int, v: int, generations: int) -> nx.Graph:
    """Replace every edge by two paths of u and v edges, again and again."""
    graph = nx.cycle_graph(u + v)
    for _ in range(generations - 1):
        longer = nx.Graph()
        for number, edge in enumerate(graph.edges):
            for side, length in enumerate((u, v)):
                inner = [(number, side, each) for each in range(length - 1)]
                nx.add_path(longer, [edge[0], *inner, edge[1]])
        graph = nx.convert_node_labels_to_integers(longer)
    return graph


def weighted_fractal(copies: int, factor: float, generations: int) -> nx.Graph:
    """Join shrunken copies by edges of length 1 to a new node (Carletti and Righi 2010)."""
    graph = nx.Graph()
    graph.add_node(0)
    for _ in range(generations):
        n = len(graph)
        larger = nx.Graph()
        for copy in range(copies):
            for a, b, length in graph.edges(data="weight"):
                larger.add_edge(a + copy * n, b + copy * n, weight=factor * length)
            larger.add_edge(copy * n + n - 1, copies * n, weight=1.0)
        graph = larger
    return graph
