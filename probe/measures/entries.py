"""Measures of the entries themselves, all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.topology import Topology

Vector = NDArray[np.float64]
THRESHOLDS = (0.1, 0.3, 0.5)


def defined(n: int, undefined: Sequence[int]) -> NDArray[np.int64]:
    """Return the neurons that are not in the list of undefined ones, in order."""
    return np.setdiff1d(np.arange(n), np.asarray(undefined, dtype=np.int64))


def defined_part(matrix: NDArray[np.float32], undefined: Sequence[int]) -> NDArray[np.float32]:
    """Return the correlations between defined neurons only."""
    if not len(undefined):
        return matrix
    keep = defined(len(matrix), undefined)
    return matrix[np.ix_(keep, keep)]


def matrix_strengths(matrix: NDArray[np.float32]) -> Vector:
    """Sum |r| of every row but for the diagonal, shape (n_neurons,), dimensionless."""
    strength: Vector = np.abs(matrix).sum(axis=1, dtype=np.float64)
    return strength - np.abs(np.diagonal(matrix), dtype=np.float64)


def strengths(topology: Topology) -> Vector:
    """Sum |r| of every neuron with the others, shape (n_neurons,), dimensionless."""
    return matrix_strengths(topology.matrix)


def edges(topology: Topology) -> NDArray[np.float32]:
    """Return r of every pair of different defined neurons, once each."""
    if topology.kind == "cross":
        from probe.measures.cross import cross_part

        return cross_part(topology.matrix, topology.undefined).ravel()
    return _pairs(defined_part(topology.matrix, topology.undefined))


def gini(values: Vector) -> float:
    """Gini coefficient of non-negative values, 0 where their sum is 0.

    Examples
    --------
    >>> gini(np.array([1.0, 1.0, 1.0]))
    0.0
    >>> gini(np.array([0.0, 0.0, 0.0, 8.0]))
    0.75
    """
    n, total = len(values), values.sum()
    if total == 0:
        return 0.0
    rank = np.arange(1, n + 1)
    return float(2 * (rank * np.sort(values)).sum() / (n * total) - (n + 1) / n)


def basic(matrix: NDArray[np.float32], undefined: Sequence[int] = ()) -> dict[str, float]:
    """Return the numbers that take no longer than reading the matrix a few times.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations.
    undefined : sequence of int
        Neurons to leave out.

    Returns
    -------
    dict of str to float
        mean_abs_r, mean_r, mean_r2, share_above_0.1 (0.3, 0.5), strength_mean, strength_gini,
        participation_ratio and neurons, as described at `Measures`.
    """
    part = defined_part(matrix, undefined)
    n, r = len(part), _pairs(part)
    numbers, strength = of_entries(r), matrix_strengths(part)
    squares = numbers["mean_r2"] * len(r)
    return {
        **numbers,
        "strength_mean": _mean(strength),
        "strength_gini": gini(strength) if n else 0.0,
        "participation_ratio": n**2 / (n + 2 * squares) if n else 0.0,
        "neurons": float(n),
    }


def of_entries(r: NDArray[np.float32]) -> dict[str, float]:
    """Sum up correlations, shape (n,), which are overwritten, see `basic`."""
    mean_r, squares = _mean(r), float(np.einsum("i,i->", r, r, dtype=np.float64))
    magnitude = np.abs(r, out=r)
    return {
        "mean_abs_r": _mean(magnitude),
        "mean_r": mean_r,
        "mean_r2": squares / max(len(r), 1),
        # A threshold in double precision: in single, 0.1 is a little more.
        **{f"share_above_{t}": _mean(magnitude > np.float64(t)) for t in THRESHOLDS},
    }


def _pairs(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    pairs: NDArray[np.float32] = matrix[np.tri(len(matrix), k=-1, dtype=bool)]
    return pairs


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else 0.0
