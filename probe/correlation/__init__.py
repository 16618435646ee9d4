"""The formula: standardise, accumulate, merge, finish. Pure tensors; knows no ranks, no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.between import Between, BetweenSums, Held, held_bytes, hold
from probe.correlation.by_example import ExampleSums
from probe.correlation.correlation import Correlation, finish
from probe.correlation.mean import MeanSums
from probe.correlation.pooled import PooledSums
from probe.correlation.product import Matmul
from probe.correlation.standardise import standardise

__all__ = [
    "BatchShape",
    "Between",
    "BetweenSums",
    "Correlation",
    "ExampleSums",
    "Held",
    "Matmul",
    "MeanSums",
    "MostBytes",
    "PooledSums",
    "Sums",
    "finish",
    "held_bytes",
    "hold",
    "make_sums",
    "standardise",
]


class Sums(Protocol):
    """Running sums that become one correlation matrix."""

    def update(
        self,
        activations: Tensor,
        keep: Tensor,
        weight: Tensor,
        layer: int = 0,
        carried: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Add one layer's activations of a batch, or change nothing where memory runs out.

        Nothing is read back from the activations' device, so that it is never kept waiting.

        Parameters
        ----------
        activations : Tensor, shape (n_examples, n_tokens, n_neurons)
            Activations of a batch, in any floating type.
        keep : Tensor of bool, shape (n_examples, n_tokens)
            Tokens that count.
        weight : Tensor of float64, shape (n_examples,)
            Weight of every example.
        layer : int
            Number of the layer among those averaged together.
        carried : dict of str to Tensor, optional
            What the sums keep of the batch from layer to layer, a row for each example; the same
            dictionary for all layers of a batch, empty at the first. Needed where a standard
            error over several layers is asked for.

        Returns
        -------
        Tensor of bool, shape (n_examples,)
            False where an example's activations are not all finite. It spoils the sums.
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
        """Turn the sums into the average."""


def make_sums(
    scheme: str,
    std: bool,
    n_neurons: int,
    layers: int,
    device: torch.device,
    matmul: Matmul = "fp32",
) -> Sums:
    """Return empty sums for an averaging scheme.

    Parameters
    ----------
    scheme : {"mean", "fisher", "pooled"}
        How examples are averaged.
    std : bool
        Whether the standard error of every entry is wanted.
    n_neurons : int
        Number of neurons.
    layers : int
        Number of layers averaged together.
    device : torch.device
        Where the sums live; it must have float64.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.
    """
    if scheme == "pooled":
        return PooledSums(n_neurons, device, layers, matmul)
    if scheme == "fisher" or std:
        return ExampleSums(n_neurons, device, scheme == "fisher", std, layers, matmul)
    return MeanSums(n_neurons, device, matmul)
