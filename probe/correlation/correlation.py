"""The finished average, and what makes it a correlation matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

# What sums carry from one layer of a batch to the next, by name: tensors with a row per example.
Carry = dict[str, Tensor] | None


@dataclass(frozen=True)
class Correlation:
    """An averaged correlation matrix.

    Of a layer with itself it is symmetric with a diagonal of 1, between two layers neither.

    Attributes
    ----------
    matrix : Tensor, shape (n_neurons, n_neurons)
        Correlations, dimensionless; row, column and diagonal of an undefined neuron are 0. In
        float64 until all sums are merged, then in float32.
    undefined : Tensor of bool, shape (n_neurons,)
        Neurons that were constant in every example; between two layers (2 n_neurons,), the first
        layer's before the second's.
    standard_error : Tensor of float64, shape (n_neurons, n_neurons), or None
        Standard error of every entry, where it was asked for.
    strongest_share : float or None
        Share of the examples' strongest tokens in the matrix, where these were named; NaN where
        nothing correlates.
    """

    matrix: Tensor
    undefined: Tensor
    standard_error: Tensor | None = None
    strongest_share: float | None = None


def finish(matrix: Tensor, undefined: Tensor, standard_error: Tensor | None = None) -> Correlation:
    """Make an average exactly what a correlation matrix is, up to rounding before."""
    matrix = ((matrix + matrix.T) / 2).clamp_(-1, 1)
    matrix[undefined] = 0
    matrix[:, undefined] = 0
    matrix.diagonal().copy_((~undefined).double())
    return Correlation(matrix, undefined, standard_error)


def divide(total: Tensor, weight: Tensor) -> Tensor:
    """Divide entry by entry, giving 0 where nothing was counted."""
    return torch.where(weight > 0, total / weight, 0)
