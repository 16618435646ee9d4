"""Comparing two models' average topologies without training: neuron assignment and spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, quadratic_assignment
from torch import Tensor

Matrix = NDArray[np.float64]
_QUANTILES = 64  # by which a neuron's |r| with the others are compared


def average_topology(series: Sequence[Tensor]) -> Matrix:
    """Average the topologies of texts, each pair over the texts in which both neurons vary.

    Returns
    -------
    ndarray of float64, shape (n_neurons, n_neurons)
        0 where a pair is never defined.
    """
    total = sum((z.T @ z).double() for z in series)
    defined = torch.stack([(z != 0).any(dim=0) for z in series]).double()
    counts = defined.T @ defined
    assert isinstance(total, Tensor)
    return np.asarray((total / counts.clamp(min=1)).cpu().numpy())


@dataclass(frozen=True)
class Assignment:
    """Which neuron of the second model stands for which of the first.

    Attributes
    ----------
    first, second : ndarray of int, shape (n_matched,)
        Neurons of either, as many as the smaller model has.
    correlation : float
        Pearson correlation of |r| over the pairs of matched neurons, dimensionless.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: float


def assign(first: Matrix, second: Matrix, restarts: int, seed: int) -> Assignment:
    """Assign neurons so that the graphs of |r| agree best.

    Neither the order nor the sign of a neuron means anything, so graphs of |r| are matched. The
    search is FAQ (Vogelstein et al. 2015, doi:10.1371/journal.pone.0121002), which climbs to a
    local optimum, from the assignment of neurons whose sorted |r| with the others are alike, from
    the centre, and from random starts; the best of these, the first one included, counts.
    A smaller graph is filled up with neurons without edges.

    Parameters
    ----------
    first, second : ndarray of float64, shape (n_neurons, n_neurons)
        Average topologies, perhaps of different sizes.
    restarts : int
        Random starts.
    seed : int
        Of the random starts.
    """
    sizes = len(first), len(second)
    n = max(sizes)
    graphs = [_padded(_magnitudes(matrix), n) for matrix in (first, second)]
    generator = np.random.default_rng(seed)
    alike = _alike(_magnitudes(first), _magnitudes(second))
    start = np.eye(n)[_completed(alike, n)]
    found = [_completed(alike, n)]
    for begin in [start, "barycenter", *["randomized"] * restarts]:
        options = {"maximize": True, "P0": begin, "rng": generator}
        found.append(quadratic_assignment(*graphs, method="faq", options=options).col_ind)
    return max((_judged(graphs, sizes, columns) for columns in found), key=lambda a: a.correlation)


def shuffled_entries(matrix: Matrix, seed: int) -> Matrix:
    """Permute the entries off the diagonal: the same values, on pairs of neurons at random."""
    rows, columns = np.triu_indices(len(matrix), k=1)
    shuffled = np.eye(len(matrix))
    values = np.random.default_rng(seed).permutation(matrix[rows, columns])
    shuffled[rows, columns] = shuffled[columns, rows] = values
    return shuffled


def spectra_distance(first: Matrix, second: Matrix) -> float:
    """Return the area between the curves that share out the eigenvalues of two topologies.

    A curve says which share of the sum the largest eigenvalues make, against which share of all
    eigenvalues they are; it depends neither on order and signs of neurons, nor on their number.

    Returns
    -------
    float
        Dimensionless, from 0 (the same) to below 1.
    """
    grid = np.linspace(0, 1, 1001)
    curves = [np.interp(grid, *_shares(matrix)) for matrix in (first, second)]
    return float(np.abs(curves[0] - curves[1]).mean())


def _shares(matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Averages over texts in which not every neuron varies may have small negative ones.
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


def _alike(first: Matrix, second: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign neurons whose |r| with all others have like quantiles."""
    levels = np.linspace(0, 1, _QUANTILES)
    profiles = [np.quantile(matrix, levels, axis=0).T for matrix in (first, second)]
    cost = np.abs(profiles[0][:, None] - profiles[1][None]).sum(axis=-1)
    rows, columns = linear_sum_assignment(cost)
    return rows, columns


def _completed(pairs: tuple[NDArray[np.int64], NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Complete an assignment to a permutation: what is left is assigned in order."""
    permutation = np.full(n, -1)
    permutation[pairs[0]] = pairs[1]
    permutation[permutation < 0] = np.setdiff1d(np.arange(n), pairs[1])
    return permutation


def _judged(
    graphs: Sequence[Matrix], sizes: tuple[int, int], columns: NDArray[np.int64]
) -> Assignment:
    first = np.arange(len(columns))
    real = (first < sizes[0]) & (columns < sizes[1])
    first, second = first[real], columns[real]
    upper = np.triu_indices(len(first), k=1)
    one, other = (
        graph[np.ix_(chosen, chosen)][upper]
        for graph, chosen in zip(graphs, (first, second), strict=True)
    )
    return Assignment(first, second, float(np.corrcoef(one, other)[0, 1]))
