"""The topology of one example as a factor: its standardised series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from probe.config import Coefficient
from probe.correlation import rank, standardise
from probe.errors import UserError, nearest
from probe.series.store import LayerSeries, SeriesStore


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
    def of(cls, activations: Tensor, correlation: str = "pearson") -> Factor:
        """Standardise the activations of an example, (n_tokens, n_neurons).

        With `correlation="spearman"` their ranks are, ties averaged.
        """
        if correlation not in [*Coefficient]:
            hint = nearest(correlation, [*Coefficient])
            raise UserError(
                f"correlation={correlation!r} is not one of {', '.join(Coefficient)}{hint}"
            )
        keep = torch.ones(1, len(activations), dtype=torch.bool, device=activations.device)
        series = activations.unsqueeze(0)
        series = rank(series, keep) if correlation == Coefficient.spearman else series
        return cls(standardise(series, keep).series[0])

    @classmethod
    def read(
        cls, store: SeriesStore, example: int, layer: int, device: torch.device | None = None
    ) -> Factor:
        """Read an example from a store.

        Raises
        ------
        UserError
            If the example or the layer is not stored.
        """
        if store.mean:
            raise UserError(
                f"{store.folder} has the means of texts, and a topology needs their tokens; write "
                "the series without mean=True"
            )
        stored = torch.from_numpy(store.stored(example, layer)).to(device)
        if store.dtype == "bfloat16":
            stored = stored.view(torch.bfloat16)
        return cls(unpack(stored)) if store.standardised else cls.of(stored)

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


@dataclass(frozen=True)
class UnitSeries(Sequence[Tensor]):
    """The series `Z` of a layer's examples, `Zᵀ Z` their topologies, read when they are asked for.

    Attributes
    ----------
    layer : LayerSeries
        The layer of a store.
    device : torch.device, optional
        Where the series go.
    """

    layer: LayerSeries
    device: torch.device | None = None

    def __len__(self) -> int:
        return len(self.layer)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...

    @overload
    def __getitem__(self, place: slice) -> UnitSeries: ...

    def __getitem__(self, place: int | slice) -> Tensor | UnitSeries:
        """Read a series, float32 of shape (n_tokens, n_neurons), or choose some of them."""
        if isinstance(place, slice):
            return UnitSeries(self.layer[place], self.device)
        example = self.layer.examples[place]
        return Factor.read(self.layer.store, example, self.layer.layer, self.device).series


def pack(
    activations: Tensor, keep: Tensor, dtype: torch.dtype = torch.float16
) -> tuple[Tensor, Tensor]:
    """Standardise a batch and round it for storage: series of length √T, entries around 1.

    Parameters
    ----------
    activations, keep
        As in `probe.correlation.standardise`.
    dtype : torch.dtype
        Type of the series. Over 64 to 512 tokens the error of r is below 3e-4 in float16; in
        bfloat16, as large a type, 8 times that.

    Returns
    -------
    series : Tensor, shape (n_examples, n_tokens, n_neurons)
        Zero at tokens that do not count and for constant neurons.
    finite : Tensor of bool, shape (n_examples,)
        False where an activation is not finite.
    """
    series, _, finite = standardise(activations, keep, keep.sum(dim=1).double().sqrt())
    return series.to(dtype), finite


def unpack(stored: Tensor) -> Tensor:
    """Restore series of length 1, which also undoes most of the rounding error of an outlier."""
    series = stored.float()
    length: Tensor = torch.linalg.vector_norm(series, dim=-2, keepdim=True)
    return series / length.masked_fill_(length == 0, 1)
