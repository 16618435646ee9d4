"""Comparison of average topologies without training: assignment of neurons, and spectra."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, quadratic_assignment

Matrix = NDArray[np.float64]
_QUANTILES = 64  # that describe a neuron's |r| with the others


@dataclass(frozen=True)
class Assignment:
    """Which neuron of the second model is assigned to which of the first.

    Attributes
    ----------
    first, second : ndarray of int, shape (n_matched,)
        Assigned neurons of either model, as many as the smaller one has.
    correlation : float
        Pearson correlation of |r| over the pairs of matched neurons, dimensionless.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: float


def assign(first: Matrix, second: Matrix, restarts: int, seed: int) -> Assignment:
    """Assign neurons so that the graphs of |r| agree best.

    Order and sign of neurons are arbitrary, so graphs of |r| are matched. FAQ (Vogelstein et al.
    2015, doi:10.1371/journal.pone.0121002) searches for a local optimum from an initial assignment
    of neurons with similar sorted |r|, from the barycentre, and from random starts; the best
    result, or the initial assignment if it is better, is returned. A smaller graph is padded with
    neurons without edges.

    Parameters
    ----------
    first, second : ndarray of float64, shape (n_neurons, n_neurons)
        Average topologies, whose sizes may differ.
    restarts : int
        Random starts.
    seed : int
        Of the random starts.
    """
    sizes = len(first), len(second)
    n = max(sizes)
    graphs = [_padded(_magnitudes(matrix), n) for matrix in (first, second)]
    generator = np.random.default_rng(seed)
    initial = _complete(_similar_neurons(_magnitudes(first), _magnitudes(second)), n)
    candidates = [initial]
    for start in [np.eye(n)[initial], "barycenter", *["randomized"] * restarts]:
        options = {"maximize": True, "P0": start, "rng": generator}
        candidates.append(quadratic_assignment(*graphs, method="faq", options=options).col_ind)
    assignments = (_evaluate(graphs, sizes, columns) for columns in candidates)
    return max(assignments, key=lambda assignment: assignment.correlation)


def shuffled_entries(matrix: Matrix, seed: int) -> Matrix:
    """Permute the entries off the diagonal: the same values on random pairs of neurons."""
    rows, columns = np.triu_indices(len(matrix), k=1)
    shuffled = np.eye(len(matrix))
    values = np.random.default_rng(seed).permutation(matrix[rows, columns])
    shuffled[rows, columns] = shuffled[columns, rows] = values
    return shuffled


def spectra_distance(first: Matrix, second: Matrix) -> float:
    """Return the area between the cumulative spectra of two topologies.

    The curve is the largest eigenvalues' share of the sum against their share of the number; it
    depends neither on order and signs of neurons nor on their number.

    Returns
    -------
    float
        Dimensionless, from 0 (the same) to below 1.
    """
    grid = np.linspace(0, 1, 1001)
    curves = [np.interp(grid, *_shares(matrix)) for matrix in (first, second)]
    return float(np.abs(curves[0] - curves[1]).mean())


def _shares(matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Averages over texts in which not every neuron varies can have small negative eigenvalues.
    values = np.clip(np.linalg.eigvalsh(matrix)[::-1], 0, None)
    shares = np.concatenate([[0.0], np.cumsum(values) / values.sum()])
    return np.linspace(0, 1, len(shares)), shares


def _magnitudes(matrix: Matrix) -> Matrix:
    magnitudes: Matrix = np.abs(matrix)
    np.fill_diagonal(magnitudes, 0)
    return magnitudes


def _padded(matrix: Matrix, n: int) -> Matrix:
    missing = n - len(matrix)
    return np.pad(matrix, ((0, missing), (0, missing)))


def _similar_neurons(first: Matrix, second: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign neurons whose |r| with all others have similar quantiles."""
    levels = np.linspace(0, 1, _QUANTILES)
    profiles = [np.quantile(matrix, levels, axis=0).T for matrix in (first, second)]
    cost = np.abs(profiles[0][:, None] - profiles[1][None]).sum(axis=-1)
    rows, columns = linear_sum_assignment(cost)
    return rows, columns


def _complete(pairs: tuple[NDArray[np.int64], NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Complete an assignment to a permutation; the remaining neurons are assigned in order."""
    permutation = np.full(n, -1)
    permutation[pairs[0]] = pairs[1]
    permutation[permutation < 0] = np.setdiff1d(np.arange(n), pairs[1])
    return permutation


def _evaluate(
    graphs: Sequence[Matrix], sizes: tuple[int, int], columns: NDArray[np.int64]
) -> Assignment:
    first = np.arange(len(columns))
    real = (first < sizes[0]) & (columns < sizes[1])
    first, second = first[real], columns[real]
    upper = np.triu_indices(len(first), k=1)
    one, other = (
        graph[np.ix_(neurons, neurons)][upper]
        for graph, neurons in zip(graphs, (first, second), strict=True)
    )
    return Assignment(first, second, float(np.corrcoef(one, other)[0, 1]))
