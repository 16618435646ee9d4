"""Graphs that a network can send values along: a factor, the whole matrix, its strongest edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from probe.factors.factor import Factor
from probe.topology.sparsify import sparsify


class Graph(Protocol):
    """Weighted graphs on the same nodes, one for each example."""

    def propagate(self, values: Tensor) -> Tensor:
        """Return `A V`, (..., n_neurons, width), of values with a row for each neuron."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Topologies as they are, shape (..., n_neurons, n_neurons)."""

    matrix: Tensor

    def propagate(self, values: Tensor) -> Tensor:
        """Return `A V`, see `Factor.propagate`."""
        return self.matrix @ values


@dataclass(frozen=True, eq=False)
class Sparse:
    """The strongest edges of the topologies of some examples, side by side in one sparse matrix.

    Its products cost `2 d` operations an edge, which are slower ones than those of a dense
    product: it is worth it for a few hundredths of the edges, not for a tenth.

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
            As in `probe.topology.sparsify`; by the paper's rule entries stay whose |r| reaches the
            (100 - 100 density)th percentile of all n² entries (Zheng et al. 2025).

        Raises
        ------
        UserError
            If there is no such rule or density.
        """
        kept = sparsify(factor.dense().cpu().numpy(), density, rule)
        np.fill_diagonal(kept, factor.defined.cpu().numpy())
        index = np.stack(kept.nonzero())
        matrix = torch.sparse_coo_tensor(
            torch.from_numpy(index),
            torch.from_numpy(kept[*index]),
            kept.shape,
            device=factor.series.device,
            is_coalesced=True,
            check_invariants=False,
        )
        return cls(matrix, len(kept))

    @classmethod
    def stack(cls, graphs: Sequence[Sparse]) -> Sparse:
        """Put examples together."""
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
    """Replace factors by their matrices, formed now, where all products together cost less so.

    With `T` tokens, `n` neurons and `k` products of width `d` the factor takes `4 T n d k`
    operations, the matrix `2 T n²` to be formed and `2 n² d k` to be used. It is the matrix where
    `n (T + d k) < 2 T d k`, which is never where `n` is `2 d k` or more.

    Parameters
    ----------
    graph : Graph
        What to send values along; anything but a `Factor` stays what it is.
    width : int
        Columns of the values.
    products : int
        Products to come, those of the backward pass included.

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
