"""The coupling index: similarity within true and within false answers, less that between them."""

import numpy as np
from numpy.typing import NDArray

# Fewer true (or false) answers have no pair within their kind.
LEAST = 2


def coupling_index(
    similarity: NDArray[np.float64], truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return C = C_TT + C_HH - 2 C_TH of a question, for one or many labellings of its answers.

    C_TT, C_HH and C_TH are the means of the correlations between flattened topologies within the
    true answers, within the false ones, and across (Zheng et al. 2025, arXiv:2506.01042).

    Parameters
    ----------
    similarity : ndarray of float64, shape (n_answers, n_answers)
        Correlation of every two answers' topologies.
    truth : ndarray of bool, shape (..., n_answers)
        Which answers are true; at least two are, and at least two are not.

    Returns
    -------
    ndarray of float64, shape (...)
        Dimensionless, from -4 to 4.

    Examples
    --------
    >>> alike = np.kron(np.eye(2), np.ones((2, 2)))
    >>> coupling_index(alike, np.array([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)).tolist()
    [2.0, -1.0]
    """
    pairs = similarity - np.diag(np.diagonal(similarity))
    true, false = truth.astype(np.float64), (~truth).astype(np.float64)

    def mean(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        total = ((rows @ pairs) * columns).sum(axis=-1)
        # An answer is not paired with itself.
        count = rows.sum(axis=-1) * columns.sum(axis=-1) - (rows * columns).sum(axis=-1)
        result: NDArray[np.float64] = total / count
        return result

    return mean(true, true) + mean(false, false) - 2 * mean(true, false)


def has_pairs(truth: NDArray[np.bool_]) -> bool:
    """Whether a question has at least two true and two false answers."""
    return LEAST <= int(truth.sum()) <= len(truth) - LEAST
