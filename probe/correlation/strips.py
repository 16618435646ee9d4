"""Correlations of every example of a batch, computed in strips of rows."""

import torch
from torch import Tensor

# Bytes of a strip's correlations of all examples: what a CPU's cache holds, or enough to keep a GPU
# busy.
_CPU_STRIP, _GPU_STRIP = 1 << 22, 1 << 28
# Examples summed in float32 before the sum is added in float64: more would cost digits.
_GROUP = 16


def strip_height(n_examples: int, n: int, number_bytes: int, device: torch.device) -> int:
    """Return how many rows of every example's correlations with all `n` neurons make a strip."""
    limit = _CPU_STRIP if device.type == "cpu" else _GPU_STRIP
    number = min(n, -(-n_examples * n * n * number_bytes // limit))
    return -(-n // number)


def add_weighted(total: Tensor, values: Tensor, weight: Tensor) -> None:
    """Add to `total`, float64, the weighted sum of every example's `values`, (n_examples, …)."""
    weight = weight.to(values.dtype)
    for first in range(0, len(weight), _GROUP):
        some = values[first : first + _GROUP]
        added = (weight[first : first + _GROUP] @ some.flatten(1)).view(some.shape[1:])
        total += added.to(total.device)
