"""The product at the heart of everything: ZᵀZ."""

from __future__ import annotations

import torch
from torch import Tensor

# Up to this many neurons a BLAS on the CPU splits the sum over tokens between its threads.
_SPLIT = 512
# Strips of the product on a CPU: what lies below the diagonal is mirrored, not computed.
_STRIPS = 4


def gram(series: Tensor) -> Tensor:
    """Return `series.T @ series`, shape (n_neurons, n_neurons).

    The product is float32, but float64 where the number of CPU threads, and so the number of
    ranks on a machine, would show in the order of the sums; there it costs little.

    Parameters
    ----------
    series : Tensor of float32, shape (n_tokens, n_neurons)
        Standardised (or centred) series, all examples stacked.
    """
    if series.device.type != "cpu":
        return series.T @ series
    n = series.shape[1]
    if n <= _SPLIT:
        series = series.double()
        return series.T @ series
    product = series.new_zeros(n, n)
    for strip in torch.arange(n).chunk(_STRIPS):
        start, end = int(strip[0]), int(strip[-1]) + 1
        torch.mm(series[:, start:end].T, series[:, start:], out=product[start:end, start:])
    return product.triu_() + product.triu(diagonal=1).T
