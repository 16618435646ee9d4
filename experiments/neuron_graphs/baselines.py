"""Baselines: lookups of the token, and of the token with those before it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.presets import FIRE

# Classes of a text's tokens and their activations, as shares of the unit's largest.
Seen = tuple[NDArray[np.int32], NDArray[np.float64]]
N_PRIOR = 5


class TokenLookup:
    """Predicts a token's largest activation in the texts it was made from, 0 for unseen ones.

    Foote et al. 2023, section 4.
    """

    def __init__(self, texts: Sequence[Seen]) -> None:
        self._largest: dict[int, float] = {}
        for tokens, shares in texts:
            for token, share in zip(tokens.tolist(), shares.tolist(), strict=True):
                self._largest[token] = max(share, self._largest.get(token, 0.0))

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the prediction for every token, shape (n_tokens,)."""
        return np.array([self._largest.get(token, 0.0) for token in tokens.tolist()], np.float64)


class NgramLookup:
    """Predicts the largest activation of a token behind the same tokens, up to five.

    Only n-grams that fire are kept (Foote et al. 2023, section 4, where n is 5); the threshold is
    of the share of the largest activation, and not of the raw activation as in the paper's code.
    """

    def __init__(self, texts: Sequence[Seen]) -> None:
        self._largest: dict[tuple[int, ...], float] = {}
        for tokens, shares in texts:
            for at in np.flatnonzero(shares >= FIRE).tolist():
                key = _ngram(tokens, at)
                self._largest[key] = max(float(shares[at]), self._largest.get(key, 0.0))
        self._last = np.array(sorted({key[-1] for key in self._largest}), np.int32)

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the prediction for every token, shape (n_tokens,)."""
        found = np.zeros(len(tokens))
        for at in np.flatnonzero(np.isin(tokens, self._last)).tolist():
            found[at] = self._largest.get(_ngram(tokens, at), 0.0)
        return found


def _ngram(tokens: NDArray[np.int32], at: int) -> tuple[int, ...]:
    return tuple(tokens[max(0, at - N_PRIOR) : at + 1].tolist())
