"""Similarity of the entries of matrices, over the pairs of neurons defined in both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.topology import Topology

Entries = NDArray[np.float32]
Defined = NDArray[np.bool_]
# Entries of every matrix converted to float64 at a time: 24 matrices take 50 MB.
_CHUNK = 1 << 18
# A pair of neurons, and its correlation in two topologies.
Difference = tuple[int, int, float, float]


def upper_entries(topologies: Sequence[Topology]) -> tuple[Entries, Defined]:
    """Flatten matrices above their diagonals.

    Returns
    -------
    entries : ndarray of float32, shape (n_topologies, n_pairs)
        In the order of `np.triu_indices`; 0 where a neuron is undefined.
    defined : ndarray of bool, shape (n_topologies, n_pairs)
        Where both neurons of the pair are defined.
    """
    n = topologies[0].n_neurons
    above = ~np.tri(n, dtype=bool)
    entries = np.empty((len(topologies), n * (n - 1) // 2), dtype=np.float32)
    defined = np.empty(entries.shape, dtype=bool)
    for row, topology in enumerate(topologies):
        neurons = ~np.isin(np.arange(n), topology.undefined)
        entries[row] = topology.matrix[above]
        defined[row] = np.logical_and.outer(neurons, neurons)[above]
    return entries, defined


def pearson(entries: NDArray[Any], defined: Defined) -> NDArray[np.float64]:
    """Correlate every two rows over the columns defined in both.

    All sums over pairs of rows are matrix products, with one chunk of columns in float64 at a time.
    Rows are centred first, so that the sums lose no digits.

    Parameters
    ----------
    entries : ndarray, shape (n_rows, n_columns)
        Values, dimensionless.
    defined : ndarray of bool, shape (n_rows, n_columns)
        Which of them count.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_rows)
        Correlations; NaN where a row is constant, or fewer than two columns count.
    """
    rows, columns = entries.shape
    total = entries.sum(axis=1, dtype=np.float64, where=defined, keepdims=True)
    mean = total / defined.sum(axis=1, keepdims=True).clip(1)
    counts, sums, squares, products = np.zeros((4, rows, rows))
    for start in range(0, columns, _CHUNK):
        mask = defined[:, start : start + _CHUNK].astype(np.float64)
        values = (entries[:, start : start + _CHUNK] - mean) * mask
        counts += mask @ mask.T
        sums += values @ mask.T  # of row i over the columns that row j has, too
        squares += values**2 @ mask.T
        products += values @ values.T
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = products - sums * sums.T / counts
        variance = squares - sums**2 / counts
        # Rounding leaves a constant row a variance that is not exactly 0.
        variance = np.where(variance > 1e-12 * squares, variance, np.nan)
        correlation = covariance / np.sqrt(variance * variance.T)
    return correlation.clip(-1, 1)


def spearman(entries: Entries, defined: Defined) -> NDArray[np.float64]:
    """Correlate the ranks of every two rows over the columns defined in both."""
    from scipy.stats import rankdata

    if (defined == defined[0]).all():
        common = entries[:, defined[0]]
        return pearson(rankdata(common, axis=1), np.ones(common.shape, dtype=bool))
    correlation = np.eye(len(entries))
    for a in range(len(entries)):
        for b in range(a):
            both = defined[a] & defined[b]
            ranks = rankdata(entries[[a, b]][:, both], axis=1)
            r = pearson(ranks, np.ones(ranks.shape, dtype=bool))[0, 1]
            correlation[a, b] = correlation[b, a] = r
    return correlation


def differences(
    entries: Entries, defined: Defined, n_neurons: int, most: int
) -> tuple[float | None, list[Difference]]:
    """Root mean square difference of two rows, and the pairs of neurons that differ most.

    Parameters
    ----------
    entries, defined : ndarray, shape (2, n_pairs)
        Of `upper_entries`.
    n_neurons : int
        Size of the matrices.
    most : int
        How many pairs of neurons to return.
    """
    places = np.flatnonzero(defined.all(axis=0))
    if not places.size:
        return None, []
    first, second = entries[:, places].astype(np.float64)
    size = np.abs(first - second)
    largest = np.argpartition(-size, min(most, size.size) - 1)[:most]
    largest = largest[np.argsort(-size[largest], kind="stable")]
    pairs = [
        (*_neurons(int(places[at]), n_neurons), float(first[at]), float(second[at]))
        for at in largest
    ]
    return float(np.sqrt((size**2).mean())), pairs


def _neurons(place: int, n: int) -> tuple[int, int]:
    """Return row and column of a place in the flattened upper triangle."""
    ends = np.cumsum(np.arange(n - 1, 0, -1))
    row = int(np.searchsorted(ends, place, side="right"))
    return row, n - int(ends[row] - place)
