"""A text as the algorithm sees it, and the rows of tokens that are cut from it."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Ids


@dataclass(frozen=True, eq=False)
class Text:
    """A text that activates a unit.

    Attributes
    ----------
    tokens : tuple of int
        Token ids, without the token that every text begins with.
    activations : ndarray of float64, shape (n_tokens,)
        The unit's activations.
    head : tuple of int
        What stands before the first token: the model's beginning-of-text token, or nothing.
    prefix : tuple of int
        What stands before tokens that are cut from the middle.
    """

    tokens: Ids
    activations: NDArray[np.float64]
    head: Ids = ()
    prefix: Ids = ()

    def before(self, start: int) -> Ids:
        """Return what stands before a row that begins at a token."""
        return self.head if start == 0 else self.prefix


def rest_of_sentence(tokens: Ids, at: int, most: int, ends: Container[int]) -> int:
    """Return how many tokens behind one belong to its sentence.

    Parameters
    ----------
    tokens : tuple of int
        A text.
    at : int
        Index of the token.
    most : int
        Most tokens behind it.
    ends : container of int
        Tokens that end a sentence; they belong to it.

    Examples
    --------
    >>> rest_of_sentence((7, 8, 9, 1, 7), at=0, most=5, ends={1})
    3
    """
    last = min(at + most, len(tokens) - 1)
    return next((n for n in range(at, last) if tokens[n] in ends), last) - at
