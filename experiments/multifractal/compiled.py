"""The min-plus product compiled by numba, which need not be installed."""

from collections.abc import Callable

import numpy as np
from numba import njit

from experiments.multifractal.network import Matrix


def _min_plus(before: Matrix, lengths: Matrix) -> Matrix:
    """Return min over m of before[i, m] + lengths[m, j].

    On one core: products are small, and waking threads took longer than they do.
    """
    n_sources, n_targets = len(before), lengths.shape[1]
    shortest = np.full((n_sources, n_targets), np.inf)
    for i in range(n_sources):
        for m in range(len(lengths)):
            start = before[i, m]
            if start == np.inf:
                continue
            for j in range(n_targets):
                shortest[i, j] = min(shortest[i, j], start + lengths[m, j])
    return shortest


min_plus: Callable[[Matrix, Matrix], Matrix] = njit(cache=True)(_min_plus)
