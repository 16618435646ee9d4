"""Measures computed directly from the entries of a matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.measures.defined import Matrix, cross_defined, cross_part, defined_part
from probe.topology import Topology

Vector = NDArray[np.float64]
THRESHOLDS = (0.1, 0.3, 0.5)


def matrix_strengths(matrix: Matrix) -> Vector:
    """Sum |r| over each row without the diagonal, shape (n_neurons,), dimensionless."""
    strength: Vector = np.abs(matrix).sum(axis=1, dtype=np.float64)
    return strength - np.abs(np.diagonal(matrix), dtype=np.float64)


def strengths(topology: Topology) -> Vector:
    """Sum |r| of each neuron with all others, shape (n_neurons,), dimensionless."""
    return matrix_strengths(topology.matrix)


def edges(topology: Topology) -> Matrix:
    """Return r of every pair of different defined neurons, once each."""
    if topology.kind == "cross":
        return cross_part(topology.matrix, topology.undefined).ravel()
    return _pairs(defined_part(topology.matrix, topology.undefined))


def gini(values: Vector) -> float:
    """Gini coefficient of non-negative values; 0 if they sum to 0.

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


def basic(matrix: Matrix, undefined: Sequence[int] = ()) -> dict[str, float]:
    """Return the measures that cost no more than a few passes over the matrix.

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
        participation_ratio and neurons, as described in `Measures`.
    """
    part = defined_part(matrix, undefined)
    n, r = len(part), _pairs(part)
    numbers, strength = _of_entries(r), matrix_strengths(part)
    squares = numbers["mean_r2"] * len(r)
    return {
        **numbers,
        "strength_mean": _mean(strength),
        "strength_gini": gini(strength) if n else 0.0,
        "participation_ratio": n**2 / (n + 2 * squares) if n else 0.0,
        "neurons": float(n),
    }


def cross_basic(matrix: Matrix, undefined: Sequence[int] = ()) -> dict[str, float]:
    """Return those measures of `basic` that are meaningful between two layers, over all entries.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_rows, n_columns)
        Correlations.
    undefined : sequence of int
        Neurons to leave out; column neurons are numbered after the row neurons.

    Returns
    -------
    dict of str to float
        mean_abs_r, mean_r, mean_r2, share_above_0.1 (0.3, 0.5), and the neurons of both layers.
    """
    part = cross_part(matrix, undefined)
    return _of_entries(part.flatten()) | {"neurons": float(sum(part.shape))}


def strongest(
    matrix: Matrix, undefined: Sequence[int] = (), most: int = 10
) -> list[tuple[int, int, float]]:
    """Find the entries with the largest |r| between two layers: row, column and r, sorted by |r|.

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


def _of_entries(r: Matrix) -> dict[str, float]:
    """Summarise correlations, shape (n,), which are overwritten; see `basic`."""
    mean_r, squares = _mean(r), float(np.einsum("i,i->", r, r, dtype=np.float64))
    magnitude = np.abs(r, out=r)
    return {
        "mean_abs_r": _mean(magnitude),
        "mean_r": mean_r,
        "mean_r2": squares / max(len(r), 1),
        # Thresholds in double precision: in single precision 0.1 is slightly larger.
        **{f"share_above_{t}": _mean(magnitude > np.float64(t)) for t in THRESHOLDS},
    }


def _pairs(matrix: Matrix) -> Matrix:
    pairs: Matrix = matrix[np.tri(len(matrix), k=-1, dtype=bool)]
    return pairs


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else 0.0
