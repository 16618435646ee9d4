"""Graphs for message passing: a factor, the dense matrix, its strongest edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from probe.series.factor import Factor
from probe.topology.sparsify import sparsify


class Graph(Protocol):
    """Weighted graphs on the same nodes, one for each example."""

    def propagate(self, values: Tensor) -> Tensor:
        """Return `A V`, (..., n_neurons, width), of values with a row for each neuron."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Dense topologies, shape (..., n_neurons, n_neurons)."""

    matrix: Tensor

    def propagate(self, values: Tensor) -> Tensor:
        """Return `A V`, see `Factor.propagate`."""
        return self.matrix @ values


@dataclass(frozen=True, eq=False)
class Sparse:
    """The strongest edges of several examples' topologies, in one block-diagonal sparse matrix.

    Its products cost `2 d` operations per edge, slower ones than those of a dense product: it pays
    off for a few hundredths of the edges, not for a tenth.

    Attributes
    ----------
    matrix : sparse Tensor of float32, shape (n_examples n_neurons, n_examples n_neurons)
        Correlations, a block on the diagonal for each example.
    n_neurons : int
        Neurons of an example.
    """

    matrix: Tensor
    n_neurons: int

    @classmethod
    def of(cls, factor: Factor, density: float, rule: str = "paper") -> Sparse:
        """Keep the strongest edges of an example, and a diagonal of 1.

        Parameters
        ----------
        factor : Factor
            One example, `series` of shape (n_tokens, n_neurons). Its matrix is formed once.
        density, rule
            As in `probe.topology.sparsify`; the paper's rule keeps entries whose |r| reaches the
            (100 - 100 density)th percentile of all n² entries (Zheng et al. 2025).

        Raises
        ------
        UserError
            If the rule or the density is invalid.
        """
        edges = sparsify(factor.dense().cpu().numpy(), density, rule)
        np.fill_diagonal(edges, factor.defined.cpu().numpy())
        index = np.stack(edges.nonzero())
        matrix = torch.sparse_coo_tensor(
            torch.from_numpy(index),
            torch.from_numpy(edges[*index]),
            edges.shape,
            device=factor.series.device,
            is_coalesced=True,
            check_invariants=False,
        )
        return cls(matrix, len(edges))

    @classmethod
    def stack(cls, graphs: Sequence[Sparse]) -> Sparse:
        """Stack examples."""
        n, ends = graphs[0].n_neurons, np.cumsum([len(graph.matrix) for graph in graphs]).tolist()
        parts = zip([0, *ends], graphs, strict=False)
        index = torch.cat([graph.matrix.indices() + start for start, graph in parts], dim=1)
        values = torch.cat([graph.matrix.values() for graph in graphs])
        size = (ends[-1], ends[-1])
        return cls(
            torch.sparse_coo_tensor(index, values, size, is_coalesced=True, check_invariants=False),
            n,
        )

    def propagate(self, values: Tensor) -> Tensor:
        """Return `A V`, (n_examples, n_neurons, width), see `Factor.propagate`."""
        shape = (len(self.matrix) // self.n_neurons, self.n_neurons, values.shape[-1])
        return (self.matrix @ values.expand(shape).reshape(-1, shape[2])).view(shape)


def quickest(graph: Graph, width: int, products: int) -> Graph:
    """Replace factors by their matrices if all products together cost less.

    With `T` tokens, `n` neurons and `k` products of width `d` the factor takes `4 T n d k`
    operations, the matrix `2 T n²` to form and `2 n² d k` to use. So the matrix is cheaper if
    `n (T + d k) < 2 T d k`, and never if `n` is `2 d k` or more.

    Parameters
    ----------
    graph : Graph
        Graph to use; only a `Factor` is replaced.
    width : int
        Columns of the values.
    products : int
        Number of products, including those of the backward pass.

    Examples
    --------
    >>> [type(quickest(Factor(torch.zeros(512, n)), 32, 4)).__name__ for n in (204, 205)]
    ['Dense', 'Factor']
    """
    if not isinstance(graph, Factor):
        return graph
    n_tokens, n_neurons = graph.series.shape[-2:]
    dense = n_neurons * (n_tokens + width * products) < 2 * n_tokens * width * products
    return Dense(graph.dense()) if dense else graph
