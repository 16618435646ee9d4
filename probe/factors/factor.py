"""The topology of one example as a factor: its standardised series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from probe.correlation import standardise


@dataclass(frozen=True, eq=False)
class Factor:
    r"""Standardised activation series `Z`, whose topology is `A = Zᵀ Z`.

    A product with the topology needs no matrix: `A V = Zᵀ (Z V)`, in `4 T n d` operations for
    `n` neurons over `T` tokens and `V` of width `d`, instead of `2 n² d` and the `2 T n²` that make
    `A`. A neuron that is constant over the example has no correlations: its column of `Z`, and so
    its row, column and diagonal of `A`, are zero. The other diagonal entries are the squared
    lengths of unit vectors, 1 up to a rounding error of float32 (1e-7).

    Several examples make one factor of shape (n_examples, n_tokens, n_neurons), see `stack`.

    Attributes
    ----------
    series : Tensor of float32, shape (..., n_tokens, n_neurons)
        Columns of length 1, or 0 where the neuron is undefined; rows of padding are 0.

    Examples
    --------
    >>> factor = Factor.of(torch.tensor([[1.0, 4.0, 7.0], [2.0, 2.0, 7.0], [3.0, 3.0, 7.0]]))
    >>> factor.dense()
    tensor([[ 1.0000, -0.5000,  0.0000],
            [-0.5000,  1.0000,  0.0000],
            [ 0.0000,  0.0000,  0.0000]])
    >>> factor.propagate(torch.tensor([[1.0], [4.0], [7.0]])).T.round(decimals=3)
    tensor([[-1.0000,  3.5000,  0.0000]])
    """

    series: Tensor

    @classmethod
    def of(cls, activations: Tensor) -> Factor:
        """Standardise the activations of an example, (n_tokens, n_neurons)."""
        keep = torch.ones(1, len(activations), dtype=torch.bool, device=activations.device)
        return cls(standardise(activations.unsqueeze(0), keep).series[0])

    @classmethod
    def stack(cls, factors: Sequence[Factor]) -> Factor:
        """Stack examples, padding with rows of zeros, which add nothing to `A`."""
        series = [factor.series for factor in factors]
        return cls(torch.nn.utils.rnn.pad_sequence(series, batch_first=True))

    @property
    def defined(self) -> Tensor:
        """Tensor of bool, shape (..., n_neurons): False where a neuron is constant."""
        return (self.series != 0).any(dim=-2)

    def dense(self) -> Tensor:
        """Return the topology, (..., n_neurons, n_neurons), with a diagonal of exactly 1 or 0."""
        matrix = self.series.mT @ self.series
        matrix.diagonal(dim1=-2, dim2=-1).copy_(self.defined)
        return matrix

    def propagate(self, values: Tensor) -> Tensor:
        """Multiply the topology with a matrix, without forming it; differentiable in the matrix.

        Parameters
        ----------
        values : Tensor, shape (..., n_neurons, width) or (n_neurons, width)
            A row for each neuron.

        Returns
        -------
        Tensor, shape (..., n_neurons, width)
            `A V`; zero in the rows of undefined neurons.
        """
        return self.series.mT @ (self.series @ values)

    def to(self, device: torch.device) -> Factor:
        """Move to a device."""
        return Factor(self.series.to(device))
