"""The product at the heart of everything: ZᵀZ."""

from __future__ import annotations

from torch import Tensor

# Up to this many neurons a BLAS on the CPU splits the sum over tokens between its threads.
_SPLIT = 512


def gram(series: Tensor) -> Tensor:
    """Return `series.T @ series`, shape (n_neurons, n_neurons).

    The product is float32, but float64 where the number of CPU threads, and so the number of
    ranks on a machine, would show in the order of the sums; there it costs little.

    Parameters
    ----------
    series : Tensor of float32, shape (n_tokens, n_neurons)
        Standardised (or centred) series, all examples stacked.
    """
    if series.device.type == "cpu" and series.shape[1] <= _SPLIT:
        series = series.double()
    return series.T @ series
