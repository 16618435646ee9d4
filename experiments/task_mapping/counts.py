"""Counts of tokens as units: what a map finds without any model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def unigrams(read: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
    """Return for every text which token of all texts' vocabulary stands at each place.

    Parameters
    ----------
    read : sequence of ndarray of int64, each of shape (n_tokens,)
        The tokens that are read of each text.

    Returns
    -------
    list of ndarray of float32, each of shape (n_tokens, n_different)
        1 in the column of the token, 0 elsewhere; columns in ascending order of the tokens.

    Examples
    --------
    >>> unigrams([np.array([7, 5]), np.array([5])])[0].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    vocabulary = np.unique(np.concatenate(read))
    ones = np.eye(len(vocabulary), dtype=np.float32)
    return [ones[np.searchsorted(vocabulary, ids)] for ids in read]
