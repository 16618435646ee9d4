"""A matrix as the pixels of a heat map, and the limits of its colours."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from probe.topology import Topology

# Pixels along a side of a heat map among others.
SIDE = 600
# A matrix with at most this share of them is drawn as it is: every entry has nine pixels.
_ENLARGED = 3
# Rows of a matrix that are processed at a time.
_ROWS = 1024
# Colours end at this percentile of |r|; darker ones would be for a few entries only.
PERCENTILE = 99.0


def shown(topology: Topology, order: NDArray[np.int64], side: int) -> NDArray[np.float32]:
    """Return what a heat map of `side` pixels shows, NaN where r is undefined and on the diagonal.

    A small matrix is shown as it is. Otherwise a pixel is the mean of the entries below it, each
    weighted by the area that they share.

    Parameters
    ----------
    topology : Topology
        Its matrix is drawn.
    order : ndarray of int, shape (n_neurons,)
        Neurons from the top to the bottom, and from left to right.
    side : int
        Pixels along a side.

    Returns
    -------
    ndarray of float32, shape (n_neurons, n_neurons) or (side, side)
        Correlations, dimensionless.
    """
    n = topology.n_neurons
    if _ENLARGED * n <= side:
        return _rows(topology, order, 0, n)
    share = _shares(n, side)
    total = np.zeros((side, side))
    for start in range(0, n, _ROWS):
        # A few rows at a time, so that a large matrix is never copied as a whole.
        rows = np.nan_to_num(_rows(topology, order, start, start + _ROWS))
        total += share[:, start : start + _ROWS] @ (share @ rows.T).T
    undefined, columns = (np.isin(order, some) for some in _undefined(topology))
    count = np.outer(share @ ~undefined, share @ ~columns)
    if topology.kind != "cross":
        count -= (share * ~undefined) @ share.T
    filled = count > 1e-6  # less is rounding
    return np.where(filled, total / np.where(filled, count, 1), np.nan).astype(np.float32)


def _shares(n: int, side: int) -> csr_array:
    """Return the length that pixel i shares with neuron j on one axis, in neurons."""
    edges = np.unique(np.concatenate([np.arange(side + 1) * n / side, np.arange(n + 1.0)]))
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    pixel = np.minimum((middle * (side / n)).astype(np.int64), side - 1)
    return csr_array((length, (pixel, middle.astype(np.int64))), shape=(side, n))


def _rows(
    topology: Topology, order: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.float32]:
    """Return some rows in the given order of neurons, NaN where r is undefined."""
    rows = topology.matrix[np.ix_(order[start:stop], order)].astype(np.float32)
    undefined, columns = _undefined(topology)
    if topology.kind != "cross":
        rows[np.arange(len(rows)), np.arange(start, start + len(rows))] = np.nan
    rows[np.isin(order[start:stop], undefined)] = np.nan
    rows[:, np.isin(order, columns)] = np.nan
    return rows


def _undefined(topology: Topology) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the undefined neurons of the rows, and those of the columns."""
    undefined = np.asarray(topology.undefined, dtype=np.int64)
    if topology.kind != "cross":
        return undefined, undefined
    n = topology.n_neurons
    return undefined[undefined < n], undefined[undefined >= n] - n


def mean_note(n: int, side: int) -> str:
    """Return a note if pixels are means over several neurons of n, else nothing."""
    return "" if n <= side else f" (a pixel is a mean over {n / side:.1f} × {n / side:.1f})"


def limit(*drawn: NDArray[np.float32]) -> float:
    """Return the |r| at which colours end: a percentile of what is drawn, 1 if that is 0."""
    values = np.concatenate([one[np.isfinite(one)].ravel() for one in drawn])
    end = float(np.percentile(np.abs(values), PERCENTILE)) if values.size else 0.0
    return end or 1.0


def beyond(end: float, *drawn: NDArray[np.float32]) -> str:
    """Return on which side values lie beyond the colours: neither, min, max or both."""
    low = any(bool((one < -end).any()) for one in drawn)
    high = any(bool((one > end).any()) for one in drawn)
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (low, high), "both"
    )
