"""An undirected weighted graph and its connected components."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.measures.compiled import Nodes, Weights, compiled


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected weighted graph without self-loops or multiple edges.

    Attributes
    ----------
    n : int
        Number of nodes; they are numbered from 0.
    first, second : ndarray of int64, shape (n_edges,)
        The two ends of every edge, in any order.
    weight : ndarray of float64, shape (n_edges,)
        Positive weights, |r| in a topology's graph.
    """

    n: int
    first: Nodes
    second: Nodes
    weight: Weights

    @classmethod
    def of(cls, matrix: NDArray[np.float32]) -> "Graph":
        """Build the graph of a symmetric matrix's non-zero entries, weighted by magnitude."""
        first, second = np.nonzero(np.triu(matrix, k=1))
        return cls(len(matrix), first, second, np.abs(matrix[first, second], dtype=np.float64))

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.first)

    @cached_property
    def degrees(self) -> Nodes:
        """Number of edges of every node, shape (n,)."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=self.n)

    @cached_property
    def weighted(self) -> Any:
        """The same graph for the compiled library."""
        return compiled(self.n, self.first, self.second, self.weight)

    @cached_property
    def unweighted(self) -> Any:
        """The same graph for the compiled library, without the weights."""
        return compiled(self.n, self.first, self.second)

    def adjacency(self) -> NDArray[np.bool_]:
        """Return the adjacency matrix, shape (n, n)."""
        adjacent = np.zeros((self.n, self.n), dtype=bool)
        adjacent[self.first, self.second] = adjacent[self.second, self.first] = True
        return adjacent

    def components(self) -> Nodes:
        """Return the number of every node's connected component, shape (n,)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if self.n == 0:
            return np.zeros(0, dtype=np.int64)
        entries = (np.ones(self.edges), (self.first, self.second))
        graph = coo_array(entries, shape=(self.n, self.n))
        labels: Nodes = connected_components(graph, directed=False)[1].astype(np.int64)
        return labels

    def largest_component(self) -> "Graph":
        """Return the largest component (ties: the one with the lowest node), nodes renumbered."""
        sizes = np.bincount(labels := self.components())
        if len(sizes) < 2:
            return self
        inside = labels == sizes.argmax()
        number = np.cumsum(inside) - 1
        within = inside[self.first]  # both ends of an edge are in the same component
        return Graph(
            n=int(inside.sum()),
            first=number[self.first[within]],
            second=number[self.second[within]],
            weight=self.weight[within],
        )
