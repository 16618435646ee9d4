"""Paths: what of a shortened text a token needs to fire, from that token backwards."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Ids
from experiments.neuron_graphs.graph import START, WILDCARD, Line


def line(
    tokens: Ids,
    at: int,
    shares: NDArray[np.float64],
    importance: NDArray[np.float64],
    threshold: float,
    *,
    forced: Collection[int] = (),
    starts: bool = False,
    wildcard_pivot: bool = False,
) -> Line:
    """Return the path of one activating token.

    Parameters
    ----------
    tokens : tuple of int
        The shortened text.
    at : int
        Index of the activating token.
    shares : ndarray of float64, shape (n_tokens,)
        Activations as shares of the unit's largest.
    importance : ndarray of float64, shape (n_tokens,)
        Of every token for the activating one.
    threshold : float
        Tokens whose importance exceeds it are literal, others wildcards.
    forced : collection of int
        Indices of tokens that are literal whatever their importance.
    starts : bool
        Whether the text must start with its first token.
    wildcard_pivot : bool
        Whether the activating token, too, is a wildcard if it is not important.

    Examples
    --------
    >>> shares, importance = np.array([0.0, 0.0, 0.9]), np.array([0.8, 0.1, 0.0])
    >>> line((1, 9, 5), 2, shares, importance, 0.5).path
    (5, -1, 1)
    """
    literal = {at} if not wildcard_pivot else set()
    literal |= {j for j in range(at + 1) if importance[j] > threshold or j in forced}
    first = 0 if starts else min(literal, default=at)
    back: Sequence[int] = range(at, first - 1, -1)
    path = tuple(tokens[j] if j in literal else WILDCARD for j in back)
    weight = tuple(float(importance[j]) if j in literal else 0.0 for j in back)
    own = tuple(max(0.0, float(shares[j])) for j in back)
    end = ((START,), (1.0,), (0.0,)) if starts else ((), (), ())
    return Line(path + end[0], float(shares[at]), weight + end[1], own + end[2])
