"""Which component of one decomposition is which of another, and how alike they are."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from experiments.networks.signals import Matrix


class Matched(NamedTuple):
    """Components of two decompositions, one to one.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n_matched,)
        Their numbers; as many as the smaller decomposition has, `first` ascending.
    r : ndarray of float64, shape (n_matched,)
        Pearson correlation of their maps over units, with its sign.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    r: Matrix


def match(first: Matrix, second: Matrix) -> Matched:
    """Match maps so that the sum of |r| is largest.

    Parameters
    ----------
    first, second : ndarray of float64, shape (k, n_units) and (k', n_units)
        Maps in any order and with any signs; r with a constant one is 0.

    Notes
    -----
    Kuhn (1955), The Hungarian method for the assignment problem, doi:10.1002/nav.3800020109.

    Examples
    --------
    >>> maps = np.array([[1.0, 2.0, 4.0], [1.0, -1.0, 0.0]])
    >>> match(maps, -maps[::-1]).second
    array([1, 0])
    """
    r = correlations(first, second)
    rows, columns = linear_sum_assignment(np.abs(r), maximize=True)
    return Matched(rows, columns, r[rows, columns])


def stability(reference: Matrix, others: Iterable[Matrix]) -> Matrix:
    """Return how far each component is found again in other decompositions.

    They may be of other seeds, another solver, or the other half of the texts.

    Parameters
    ----------
    reference : ndarray of float64, shape (k, n_units)
        Maps.
    others : iterable of ndarray, each of shape (k', n_units)
        Maps of the other decompositions.

    Returns
    -------
    ndarray of float64, shape (k, n_others)
        |r| of the matched components; NaN where none is left to match.
    """
    columns = []
    for other in others:
        matched = match(reference, other)
        found = np.full(len(reference), np.nan)
        found[matched.first] = np.abs(matched.r)
        columns.append(found)
    return np.stack(columns, axis=1)


def correlations(first: Matrix, second: Matrix) -> Matrix:
    """Return Pearson's r between the rows of two arrays, shape (k, k'); 0 with a constant row."""
    r: Matrix = _standardised(first) @ _standardised(second).T
    return r.clip(-1, 1)


def _standardised(rows: Matrix) -> Matrix:
    centred: Matrix = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(length > 0, length, 1)
    return centred
