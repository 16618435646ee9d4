"""Counts of tokens as units: what a map finds without any model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def unigrams(read: Sequence[NDArray[np.int64]], means: bool) -> list[NDArray[np.floating]]:
    """Return for every text which token of all texts' vocabulary stands at each place.

    Parameters
    ----------
    read : sequence of ndarray of int64, each of shape (n_tokens,)
        The tokens that are read of each text.
    means : bool
        Return their mean over the places, the share of each token.

    Returns
    -------
    list of ndarray of float, each of shape (n_tokens, n_different) or, if means, (1, n_different)
        1 in the column of the token, 0 elsewhere; columns in ascending order of the tokens.

    Examples
    --------
    >>> texts = [np.array([7, 5, 5, 5]), np.array([5])]
    >>> unigrams(texts, means=False)[1].tolist(), unigrams(texts, means=True)[0].tolist()
    ([[1.0, 0.0]], [[0.75, 0.25]])
    """
    vocabulary = np.unique(np.concatenate(read))
    places = [np.searchsorted(vocabulary, ids) for ids in read]
    if means:
        n = len(vocabulary)
        return [np.bincount(own, minlength=n)[None] / len(own) for own in places]
    ones = np.eye(len(vocabulary), dtype=np.float32)
    return [ones[own] for own in places]
