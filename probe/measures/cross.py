"""Measures of the correlations between two layers, of which no graph is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probe.measures.entries import defined, of_entries

Matrix = NDArray[np.float32]


def cross_defined(
    matrix: Matrix, undefined: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the defined neurons of the rows, and those of the columns, each from 0."""
    rows, columns = matrix.shape
    kept = defined(rows + columns, undefined)
    return kept[kept < rows], kept[kept >= rows] - rows


def cross_part(matrix: Matrix, undefined: Sequence[int]) -> Matrix:
    """Return the correlations between defined neurons only.

    Examples
    --------
    >>> cross_part(np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), undefined=[0, 3])
    array([[0.3]], dtype=float32)
    """
    return matrix[np.ix_(*cross_defined(matrix, undefined))] if len(undefined) else matrix


def cross_basic(matrix: Matrix, undefined: Sequence[int] = ()) -> dict[str, float]:
    """Return the numbers of `basic` that have a meaning between two layers, of all entries.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_rows, n_columns)
        Correlations.
    undefined : sequence of int
        Neurons to leave out, those of the columns counted on from those of the rows.

    Returns
    -------
    dict of str to float
        mean_abs_r, mean_r, mean_r2, share_above_0.1 (0.3, 0.5) and neurons, of both layers.
    """
    part = cross_part(matrix, undefined)
    return of_entries(part.flatten()) | {"neurons": float(sum(part.shape))}


def strongest(
    matrix: Matrix, undefined: Sequence[int] = (), most: int = 10
) -> list[tuple[int, int, float]]:
    """Find the entries with the largest |r|: row, column and r, the largest first.

    Examples
    --------
    >>> strongest(np.array([[0.25, -0.75], [0.5, 0.0]], np.float32), most=2)
    [(0, 1, -0.75), (1, 0, 0.5)]
    """
    rows, columns = cross_defined(matrix, undefined)
    magnitude = np.abs(cross_part(matrix, undefined))
    most = min(most, magnitude.size)
    if most == 0:
        return []
    least = np.partition(magnitude, magnitude.size - most, axis=None)[magnitude.size - most]
    first, second = np.nonzero(magnitude >= least)
    order = np.argsort(-magnitude[first, second], kind="stable")[:most]
    places = zip(rows[first[order]].tolist(), columns[second[order]].tolist(), strict=True)
    return [(row, column, float(matrix[row, column])) for row, column in places]
