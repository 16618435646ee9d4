"""The defined neurons of a matrix, and the correlations between them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Neurons = NDArray[np.int64]


def defined(n: int, undefined: Sequence[int]) -> Neurons:
    """Return the neurons that are not in the list of undefined ones, in ascending order."""
    return np.setdiff1d(np.arange(n), np.asarray(undefined, dtype=np.int64))


def defined_part(matrix: Matrix, undefined: Sequence[int]) -> Matrix:
    """Return the correlations between defined neurons of a square matrix."""
    if not len(undefined):
        return matrix
    neurons = defined(len(matrix), undefined)
    return matrix[np.ix_(neurons, neurons)]


def cross_defined(matrix: Matrix, undefined: Sequence[int]) -> tuple[Neurons, Neurons]:
    """Return the defined neurons of the rows and those of the columns, each counted from 0.

    In `undefined`, column neurons are numbered after the row neurons.
    """
    rows, columns = matrix.shape
    neurons = defined(rows + columns, undefined)
    return neurons[neurons < rows], neurons[neurons >= rows] - rows


def cross_part(matrix: Matrix, undefined: Sequence[int]) -> Matrix:
    """Return the correlations between defined neurons of two layers.

    Examples
    --------
    >>> cross_part(np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), undefined=[0, 3])
    array([[0.3]], dtype=float32)
    """
    return matrix[np.ix_(*cross_defined(matrix, undefined))] if len(undefined) else matrix
