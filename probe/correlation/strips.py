"""Correlations of every example of a batch, worked on in strips of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape

# Bytes of correlations of all examples that are worked on together: on a CPU what its cache holds,
# elsewhere enough to keep a GPU busy.
_CPU_STRIP, _GPU_STRIP = 1 << 22, 1 << 28
# Examples added up in float32, before the sum goes to float64: more would cost digits.
_ADDED = 16


def strip_height(series: Tensor) -> int:
    """Return how many rows of correlations with all neurons of `series` make a strip.

    `series` has the shape (n_examples, n_tokens, n_neurons).
    """
    return _height(len(series), series.shape[2], series.element_size(), series.device)


def strip_size(batch: BatchShape, n_neurons: int, number_bytes: int) -> int:
    """Return how many correlations of all examples of a batch make a strip."""
    return batch.rows * n_neurons * _height(batch.rows, n_neurons, number_bytes, batch.device)


def _height(n_examples: int, n: int, number_bytes: int, device: torch.device) -> int:
    limit = _CPU_STRIP if device.type == "cpu" else _GPU_STRIP
    number = min(n, -(-n_examples * n * n * number_bytes // limit))
    return -(-n // number)


def add_weighted(total: Tensor, values: Tensor, weight: Tensor) -> None:
    """Add to `total`, float64, the weighted sum of every example's `values`, (n_examples, …)."""
    weight = weight.to(values.dtype)
    for first in range(0, len(weight), _ADDED):
        some = values[first : first + _ADDED]
        added = (weight[first : first + _ADDED] @ some.flatten(1)).view(some.shape[1:])
        total += added.to(total.device)
