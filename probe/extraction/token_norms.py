"""Norms of all tokens over the median of their text: which tokens stand out, where, and how far."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.examples.batches import Tensors

# A first token whose norm is this many times the median dominates the correlations (often an
# attention sink).
LARGE = 5.0
# Positions are counted in bins that double in width: 0, 1, 2 to 3, 4 to 7, …
_BINS = 32
# Tokens of each layer that are named.
NAMED = 20

Ratios = NDArray[np.float32]


def token_norms(activations: Tensor) -> Tensor:
    """Return the norm of every token, float32: the squares of half precision would overflow."""
    norms: Tensor = torch.linalg.vector_norm(activations, dim=-1, dtype=torch.float32)
    return norms


def over_median(norms: Tensor, keep: Tensor) -> Tensor:
    """Divide the norms of each text by their median, the lower one of two in the middle.

    Parameters
    ----------
    norms : Tensor of float32, shape (n_examples, n_tokens)
        Norm of every token.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count.

    Returns
    -------
    Tensor of float32, shape (n_examples, n_tokens)
        Dimensionless; 0 at tokens that do not count, and in a text whose median is 0.

    Examples
    --------
    >>> over_median(torch.tensor([[9.0, 8.0, 1.0, 2.0]]), torch.tensor([[False, True, True, True]]))
    tensor([[0.0000, 4.0000, 0.5000, 1.0000]])
    """
    median = norms.masked_fill(~keep, torch.nan).nanmedian(dim=1, keepdim=True).values
    return torch.where(keep & (median != 0), norms / median, 0)


def without_outliers(ratios: Tensor, keep: Tensor, above: float) -> tuple[Tensor, Tensor]:
    """Return which tokens are left without those whose norm is an outlier.

    Parameters
    ----------
    ratios, keep
        See `over_median`.
    above : float
        From this ratio on a token is an outlier, unless its norm is not finite, which is an error
        to be found.

    Returns
    -------
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that are left; only the first one of a text with fewer than two, in which every
        neuron is constant and so nothing is defined.
    left : Tensor of bool, shape (n_examples,)
        Texts with two tokens or more.
    """
    rest = keep & ~outliers(ratios, above)
    left = rest.sum(dim=1) >= 2
    first = keep & (keep.cumsum(dim=1) == 1)
    return torch.where(left.unsqueeze(1), rest, first), left


def strongest(ratios: Tensor, keep: Tensor) -> Tensor:
    """Return the place of each text's largest token among those that count, (n_examples,)."""
    return ratios.masked_fill(~keep, -1).argmax(dim=1)


def outliers(ratios: Any, above: float) -> Any:
    """Return where norms, in a tensor or an array, are outliers."""
    return (ratios > above) & (ratios < float("inf"))


class TokenNorms:
    """What the ratios of `over_median` were in every layer, summed up on the host.

    Parameters
    ----------
    layers : list of int
        Layers that will be read.
    above : float
        Ratio from which a token is an outlier.

    Attributes
    ----------
    first, largest : ndarray of float64, shape (n_layers,)
        Sums over texts of the first counted token's ratio, and of the largest.
    most : ndarray of float64, shape (n_layers,)
        The largest ratio of all.
    positions : ndarray of int64, shape (n_layers, 32)
        Outliers by their position in the text, from 0, in bins that double in width.
    tokens : dict of (int, int) to (int, float)
        Their number and largest ratio, by the row of the layer and the token's id.
    """

    def __init__(self, layers: list[int], above: float) -> None:
        self.layers, self.above = layers, above
        self.first, self.largest, self.most = np.zeros((3, len(layers)))
        self.positions = np.zeros((len(layers), _BINS), dtype=np.int64)
        self.tokens: dict[tuple[int, int], tuple[int, float]] = {}

    def update(self, ratios: Ratios, batch: Tensors) -> None:
        """Add a batch, on the host: `ratios` (n_layers, n_examples, n_tokens)."""
        attended, keep = batch.attended.numpy(), batch.keep.numpy()
        layer, row, column = outliers(ratios, self.above).nonzero()
        position = column - attended.argmax(axis=1)[row]
        place = np.frexp(position)[1]  # 1 + log2, and 0 for 0
        found = _by_token(layer, batch.tokens.numpy()[row, column], ratios[layer, row, column])
        first = ratios[:, np.arange(len(keep)), keep.argmax(axis=1)]
        largest = ratios.max(axis=2)
        self.first += first.sum(axis=1, dtype=np.float64)
        self.largest += largest.sum(axis=1, dtype=np.float64)
        self.most = np.maximum(self.most, largest.max(axis=1))
        np.add.at(self.positions, (layer, place), 1)
        self._count(found)

    def _count(self, found: Mapping[tuple[int, int], tuple[int, float]]) -> None:
        for key, (count, largest) in found.items():
            before, most = self.tokens.get(key, (0, 0.0))
            self.tokens[key] = before + count, max(most, largest)

    def state(self) -> dict[str, Tensor]:
        """Return everything by name."""
        tokens = sorted(self.tokens.items())
        keys = [(*key, count) for key, (count, _) in tokens]
        largest = [most for _, (_, most) in tokens]
        return {
            "norms/ratios": torch.from_numpy(np.stack([self.first, self.largest, self.most])),
            "norms/positions": torch.from_numpy(self.positions),
            "norms/tokens": torch.tensor(keys, dtype=torch.long).view(-1, 3),
            "norms/largest": torch.tensor(largest, dtype=torch.float64),
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of other texts."""
        first, largest, most = state["norms/ratios"].numpy()
        self.first += first
        self.largest += largest
        self.most = np.maximum(self.most, most)
        self.positions += state["norms/positions"].numpy()
        keys, ratios = state["norms/tokens"].tolist(), state["norms/largest"].tolist()
        self._count({(row, token): (n, r) for (row, token, n), r in zip(keys, ratios, strict=True)})

    def record(self, examples: int) -> dict[str, Any]:
        """Return what is known of every layer, given the number of texts.

        Of the tokens above the limit the most frequent are named, each with its id, its number and
        its largest ratio.
        """
        return {
            "above": self.above,
            "layers": [
                {
                    "layer": layer,
                    "first": round(self.first[row] / examples, 4),
                    "largest": round(self.largest[row] / examples, 4),
                    "most": round(float(self.most[row]), 4),
                    "tokens_above": int(self.positions[row].sum()),
                    "positions": {
                        _bin(place): int(count)
                        for place, count in enumerate(self.positions[row])
                        if count
                    },
                    "tokens": self._named(row),
                }
                for row, layer in enumerate(self.layers)
            ],
        }

    def _named(self, row: int) -> list[list[float]]:
        own = [(-n, -most, token) for (of, token), (n, most) in self.tokens.items() if of == row]
        return [[token, -n, round(-most, 4)] for n, most, token in sorted(own)[:NAMED]]


def _by_token(
    layer: NDArray[np.int64], token: NDArray[np.int64], ratio: Ratios
) -> dict[tuple[int, int], tuple[int, float]]:
    """Count the outliers of a batch by layer and token."""
    pairs, where = np.unique(np.stack([layer, token]), axis=1, return_inverse=True)
    count, most = np.bincount(where, minlength=pairs.shape[1]), np.zeros(pairs.shape[1])
    np.maximum.at(most, where, ratio)
    return {
        (int(of), int(token)): (int(n), float(r))
        for (of, token), n, r in zip(pairs.T, count, most, strict=True)
    }


def _bin(place: int) -> str:
    """Name the positions of a bin.

    Examples
    --------
    >>> [_bin(place) for place in range(4)]
    ['0', '1', '2-3', '4-7']
    """
    low, high = 1 << place >> 1, (1 << place) - 1
    return str(low) if low >= high else f"{low}-{high}"
