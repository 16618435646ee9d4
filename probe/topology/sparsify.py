"""From correlations to the edges of a graph: the strongest ones."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError, nearest


def sparsify(
    matrix: NDArray[np.float32], density: float, rule: str = "pairs"
) -> NDArray[np.float32]:
    """Keep the strongest correlations as the weighted edges of a graph.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations, symmetric.
    density : float
        Share to keep, above 0 and up to 1.
    rule : str
        `pairs`: the `round(density · n(n-1)/2)` pairs of different neurons with the largest |r|.
        Ties are broken by the smaller first, then second, neuron.
        `paper`: entries whose |r| reaches the (100 - 100 density)th percentile of all n² entries,
        the diagonal included (Zheng et al. 2025), which keeps somewhat fewer pairs.

    Returns
    -------
    ndarray of float32, shape (n_neurons, n_neurons)
        r of the kept pairs, 0 elsewhere and on the diagonal; symmetric. A correlation of exactly 0
        is never an edge.

    Raises
    ------
    UserError
        If the rule or the density is invalid.

    Examples
    --------
    >>> sparsify(np.array([[1, 0.2, -0.9], [0.2, 1, 0.5], [-0.9, 0.5, 1]], np.float32), 2 / 3)
    array([[ 0. ,  0. , -0.9],
           [ 0. ,  0. ,  0.5],
           [-0.9,  0.5,  0. ]], dtype=float32)
    """
    if rule not in _RULES:
        raise UserError(
            f"no density rule '{rule}'{nearest(rule, _RULES)}; choose one of {', '.join(_RULES)}"
        )
    if not 0 < density <= 1:
        raise UserError(f"a density must be above 0 and up to 1, not {density:g}")
    upper = ~np.tri(len(matrix), dtype=bool)
    pairs = matrix[upper]
    keep = _RULES[rule](matrix, np.abs(pairs), density)
    edges = np.zeros_like(matrix, dtype=np.float32)
    edges[upper] = np.where(keep, pairs, 0)
    edges += edges.T
    return edges


def _strongest_pairs(
    _: NDArray[np.float32], pairs: NDArray[np.float32], density: float
) -> NDArray[np.bool_]:
    count = round(density * len(pairs))
    if count == 0:
        return np.zeros(len(pairs), dtype=bool)
    last = np.partition(pairs, len(pairs) - count)[len(pairs) - count]
    keep: NDArray[np.bool_] = pairs > last
    keep[np.flatnonzero(pairs == last)[: count - np.count_nonzero(keep)]] = True
    return keep


def _above_percentile(
    matrix: NDArray[np.float32], pairs: NDArray[np.float32], density: float
) -> NDArray[np.bool_]:
    if not len(pairs):
        return np.zeros(0, dtype=bool)
    # A percentile between two entries is reached by the larger one and all above it. Rounding keeps
    # the float error of a density like 0.825 from skipping an entry.
    rank = ceil(round((1 - density) * (matrix.size - 1), 6))
    reaches: NDArray[np.bool_] = pairs >= np.partition(np.abs(matrix), rank, axis=None)[rank]
    return reaches


_RULES = {"pairs": _strongest_pairs, "paper": _above_percentile}
