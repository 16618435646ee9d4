"""Saliency: how much of an activation is lost when a token before it is masked."""

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Activations, Algorithm, Ids, activations


def importance(original: NDArray[np.float64], masked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − masked / original, 0 where the original is 0.

    Foote et al. 2023, equation 3, whose printed ratio is upside down. Negative for a token that
    inhibits, above 1 where the masked activation is negative.

    Examples
    --------
    >>> importance(np.array([2.0, 0.0]), np.array([[0.5, 1.0]]))
    array([[0.75, 0.  ]])
    """
    defined = original != 0
    share = np.ones(np.broadcast_shapes(original.shape, masked.shape))
    np.divide(masked, original, out=share, where=np.broadcast_to(defined, share.shape))
    return 1 - share


def saliency(
    before: Ids,
    tokens: Ids,
    original: NDArray[np.float64],
    last: int,
    mask: int,
    context: int,
    pivot_too: bool,
) -> Algorithm[NDArray[np.float64]]:
    """Return the importance of every token for every other up to the last one.

    Parameters
    ----------
    before, tokens : tuple of int
        The row: what stands before, and the tokens.
    original : ndarray of float64, shape (n_tokens,)
        Their activations.
    last : int
        Index of the last token that is asked about.
    mask : int
        The token that replaces others.
    context : int
        Tokens up to the last one that are masked; those farther back have no importance.
    pivot_too : bool
        Whether the last one is masked as well.

    Returns
    -------
    ndarray of float64, shape (n_tokens, n_tokens)
        Of the token k (row) for the token j (column); 0 for k > j.
    """
    found = np.zeros((len(tokens), len(tokens)))
    masked = range(max(0, last + 1 - context), last + pivot_too)
    rows = []
    for k in masked:
        ids = (*before, *tokens[:k], mask, *tokens[k + 1 : last + 1])
        rows.append(Activations(ids, range(len(before) + k, len(ids))))
    if rows:
        for k, answer in zip(masked, (yield from activations(rows)), strict=True):
            found[k, k : last + 1] = importance(original[k : last + 1], answer)
    return found
