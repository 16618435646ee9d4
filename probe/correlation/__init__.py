"""The formula: standardise, accumulate, merge, finish. Tensors only, no ranks or files."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.between import BatchSeries, BetweenSums, batch_series, series_bytes
from probe.correlation.by_example import ExampleSums
from probe.correlation.correlation import Carry, Correlation, finish
from probe.correlation.mean import MeanSums
from probe.correlation.pooled import PooledSums
from probe.correlation.product import Matmul
from probe.correlation.ranks import rank, rank_bytes
from probe.correlation.standardise import standardise


class Sums(Protocol):
    """Running sums that become one correlation matrix."""

    def update(
        self,
        activations: Tensor,
        keep: Tensor,
        weight: Tensor,
        layer: int = 0,
        carry: Carry = None,
        strongest: Tensor | None = None,
    ) -> Tensor:
        """Add one layer's activations of a batch, or change nothing if memory runs out.

        Nothing is read back from the activations' device, which would have to be waited for.

        Parameters
        ----------
        activations : Tensor, shape (n_examples, n_tokens, n_neurons)
            Activations of a batch, in any floating type.
        keep : Tensor of bool, shape (n_examples, n_tokens)
            Tokens that count.
        weight : Tensor of float64, shape (n_examples,)
            Weight of every example.
        layer : int
            Index of the layer among those averaged together.
        carry : dict of str to Tensor, optional
            What the sums carry from layer to layer of a batch, one row per example: the same
            dictionary for all its layers, empty at the first. Needed for a standard error over
            several layers.
        strongest : Tensor of int64, shape (n_examples,), optional
            Place of each example's strongest token, whose share in the mean of r is summed, see
            `StrongestTokens`; other averages ignore it.

        Returns
        -------
        Tensor of bool, shape (n_examples,)
            False where an example's activations are not all finite, which spoils the sums.
        """

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that the sums come to take beyond their first tensors.

        Parameters
        ----------
        batch : BatchShape
            Shape of every batch.
        """

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of sums over other examples."""

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""

    def finish(self) -> Correlation:
        """Return the average."""


def make_sums(
    scheme: str,
    std: bool,
    n_neurons: int,
    layers: int,
    device: torch.device,
    matmul: Matmul = "fp32",
    sample: Tensor | None = None,
) -> Sums:
    """Return empty sums of an averaging scheme.

    Parameters
    ----------
    scheme : {"mean", "fisher", "pooled"}
        How examples are averaged.
    std : bool
        Whether to keep what the standard error of every entry needs.
    n_neurons : int
        Number of neurons.
    layers : int
        Number of layers averaged together.
    device : torch.device
        Where the sums live; it must have float64.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.
    sample : Tensor of int64, optional
        Neurons over which a mean of r takes the share of the strongest tokens.
    """
    if scheme == "pooled":
        return PooledSums(n_neurons, device, layers, matmul)
    if scheme == "fisher" or std:
        return ExampleSums(n_neurons, device, scheme == "fisher", std, layers, matmul)
    return MeanSums(n_neurons, device, matmul, sample)
