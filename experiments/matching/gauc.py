"""GAUC: how often a text is nearer to its own counterpart than to another text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def gauc_by_text(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean area under the ROC curve of each text's row and column.

    One entry of a row belongs to the text's counterpart, so the area is the share of the other
    entries below it, with ties counting half. The mean over texts is GAUC.

    Parameters
    ----------
    similarity : ndarray of float64, shape (n_texts, n_texts)
        Between a text of the first model (rows) and one of the second (columns).

    Returns
    -------
    ndarray of float64, shape (n_texts,)
        From 0 to 1; the chance level is 0.5.

    Examples
    --------
    >>> gauc_by_text(np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.0, 0.0, 0.5]])).tolist()
    [1.0, 0.75, 1.0]
    """
    own = np.diagonal(similarity)
    others = len(similarity) - 1
    in_row = _below(similarity, own[:, None]).sum(axis=1)
    in_column = _below(similarity, own[None, :]).sum(axis=0)
    # Each entry has counted itself as a tie.
    areas: NDArray[np.float64] = ((in_row - 0.5) + (in_column - 0.5)) / (2 * others)
    return areas


def permuted_gauc(similarity: NDArray[np.float64], times: int, seed: int) -> list[float]:
    """Return GAUC for random permutations of the second model's texts."""
    generator = np.random.default_rng(seed)
    return [
        float(gauc_by_text(similarity[:, generator.permutation(len(similarity))]).mean())
        for _ in range(times)
    ]


def length_similarity(first: Sequence[int], second: Sequence[int]) -> NDArray[np.float64]:
    """Compare texts by the rank of their numbers of tokens under either model.

    Texts of equal length share a rank; ranks in order of the texts would leak their identity.
    """
    ranks = [rankdata(lengths) for lengths in (first, second)]
    similarity: NDArray[np.float64] = -np.abs(ranks[0][:, None] - ranks[1][None, :])
    return similarity


def _below(values: NDArray[np.float64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
    below: NDArray[np.float64] = (values < bound) + 0.5 * (values == bound)
    return below
