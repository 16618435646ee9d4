"""The formula: standardise, accumulate, merge, finish. Pure tensors; knows no ranks, no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from probe.correlation.by_example import ExampleSums
from probe.correlation.correlation import Correlation
from probe.correlation.mean import MeanSums
from probe.correlation.pooled import PooledSums
from probe.correlation.standardise import NonFiniteError, standardise

__all__ = [
    "Correlation",
    "ExampleSums",
    "MeanSums",
    "NonFiniteError",
    "PooledSums",
    "Sums",
    "make_sums",
    "standardise",
]


class Sums(Protocol):
    """Running sums that become one correlation matrix."""

    def update(self, activations: Tensor, keep: Tensor, weight: Tensor, layer: int = 0) -> None:
        """Add one layer's activations of a batch; `layer` counts the layers averaged together."""

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of sums over other examples."""

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""

    def finish(self) -> Correlation:
        """Turn the sums into the average."""


def make_sums(scheme: str, std: bool, n_neurons: int, layers: int, device: torch.device) -> Sums:
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
    """
    if scheme == "pooled":
        return PooledSums(n_neurons, device, layers)
    if scheme == "fisher" or std:
        return ExampleSums(n_neurons, device, scheme == "fisher", std, layers)
    return MeanSums(n_neurons, device)
