"""The product of matrices in which a sum of lengths takes the place of a product."""

from collections.abc import Callable
from functools import cache

import numpy as np

from experiments.multifractal.network import Matrix


def min_plus(before: Matrix, lengths: Matrix) -> Matrix:
    """Return min over m of before[i, m] + lengths[m, j], shape (n_sources, n_targets).

    Compiled where numba is installed, in NumPy elsewhere; results are the same to the bit.

    Examples
    --------
    >>> min_plus(np.array([[1.0, 5.0]]), np.array([[np.inf, 3.0], [1.0, 1.0]]))
    array([[6., 4.]])
    """
    return _quickest()(before, lengths)


def in_numpy(before: Matrix, lengths: Matrix) -> Matrix:
    """Return the same with as many passes over the result as there are nodes in the middle."""
    shortest = np.full((len(before), lengths.shape[1]), np.inf)
    sums = np.empty_like(shortest)
    for middle, onwards in enumerate(lengths):
        np.add(before[:, middle, None], onwards, out=sums)
        np.minimum(shortest, sums, out=shortest)
    return shortest


@cache
def _quickest() -> Callable[[Matrix, Matrix], Matrix]:
    try:
        from experiments.multifractal.compiled import min_plus as compiled
    except ModuleNotFoundError:
        return in_numpy
    return compiled
