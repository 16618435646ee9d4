"""Activation series of examples, and their correlations by definition."""

import numpy as np
from numpy.typing import NDArray

from tests import reference

Series = NDArray[np.float32]


def activations(seed: int, n_tokens: int, n_neurons: int, constant: int = 0) -> Series:
    """Draw mixed series with large means, some of them constant."""
    generator = np.random.default_rng(seed)
    mixed = generator.standard_normal((n_tokens, n_neurons)) @ generator.standard_normal(
        (n_neurons, n_neurons)
    )
    series = (mixed + 50 * generator.standard_normal(n_neurons)).astype(np.float32)
    series[:, generator.permutation(n_neurons)[:constant]] = 3
    return series


def topology(series: Series) -> NDArray[np.float64]:
    return np.nan_to_num(reference.example_correlation(series))
