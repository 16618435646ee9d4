"""How many tokens are left of every text without those whose norm is an outlier."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.extraction.token_norms import Ratios, outliers

# Degrees of freedom that a correlation loses: of r, of Fisher's z, of pooled tokens.
LOST = {"mean": 1, "fisher": 3, "pooled": 0}
_NAME = "kept"


class Kept(NamedTuple):
    """What is left in each of some layers, shape (n_layers,).

    Attributes
    ----------
    tokens, dropped : ndarray of int
        Tokens of the texts that are left, and all others.
    left_out : ndarray of int
        Texts of which fewer than two tokens are left.
    noise : ndarray of float
        Variance of an entry if all series were white noise, see `white_noise`.
    """

    tokens: NDArray[np.int64]
    dropped: NDArray[np.int64]
    left_out: NDArray[np.int64]
    noise: NDArray[np.float64]

    def tensor(self) -> Tensor:
        """Return them as one tensor of float64, shape (4, n_layers)."""
        return torch.from_numpy(np.stack([part.astype(np.float64) for part in self]))

    @classmethod
    def of_tensor(cls, tensor: Tensor) -> "Kept":
        """Rebuild from `tensor`."""
        *counts, noise = tensor.numpy()
        return cls(*(part.astype(np.int64) for part in counts), noise)


class KeptTokens:
    """Tallies by layer and cell, from which token counts and the white-noise level follow.

    Parameters
    ----------
    layers : list of int
        Layers that will be read.
    cells : int
        Number of cells of examples.
    above : float
        Ratio from which a token's norm is an outlier.
    """

    def __init__(self, layers: list[int], cells: int, above: float) -> None:
        self._layers, self._above = layers, above
        # Texts left out, tokens kept and dropped, the weights' sum, and Σ w²/f by what is lost.
        self._sums = np.zeros((len(layers), cells, 4 + len(LOST)))

    def update(self, ratios: Ratios, tokens: Tensor, weight: Tensor, cell: int) -> None:
        """Add a batch, on the host.

        Parameters
        ----------
        ratios : ndarray, shape (n_layers, n_examples, n_tokens)
            See `over_median`.
        tokens, weight : Tensor, shape (n_examples,)
            Tokens that count in each example, and its weight.
        cell : int
            Cell of the batch.
        """
        whole = tokens.numpy()
        kept = whole - outliers(ratios, self._above).sum(axis=2)
        left = kept >= 2
        kept = np.where(left, kept, 0)
        w = np.where(left, weight.numpy(), 0)
        freedom = [np.maximum(kept - lost, 1) for lost in LOST.values()]
        parts = [~left, kept, whole - kept, w, *(w**2 / f for f in freedom)]
        self._sums[:, cell] += np.stack([part.sum(axis=1) for part in parts], axis=1)

    def state(self) -> dict[str, Tensor]:
        """Return the tallies by name."""
        return {_NAME: torch.from_numpy(self._sums)}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of other texts."""
        self._sums += state[_NAME].numpy()

    def of(self, layers: Sequence[int], cells: Sequence[int], scheme: str) -> Kept:
        """Return what is left for a matrix's layers and cells."""
        rows = [self._layers.index(layer) for layer in layers]
        left_out, tokens, dropped, weight, *noise = self._sums[rows][:, cells].sum(axis=1).T
        squares = noise[list(LOST).index(scheme)]
        counts = (part.astype(np.int64) for part in (tokens, dropped, left_out))
        with np.errstate(invalid="ignore"):
            return Kept(*counts, np.where(weight > 0, squares / weight**2, 1.0))
