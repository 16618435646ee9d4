"""Inner products between the texts' feature vectors, all that linear probes and r need.

A topology has n(n - 1)/2 entries, more than there are texts, so neither all topologies nor the
weights of a probe are kept in memory: the products of all pairs of texts suffice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

# Entries of topologies in memory at a time, 256 MB of float32.
_ENTRIES = 1 << 26


@dataclass(frozen=True)
class Products:
    """Products of the texts' feature vectors.

    Attributes
    ----------
    gram : ndarray of float64, shape (n_texts, n_texts)
        Inner product of every two vectors.
    sums : ndarray of float64, shape (n_texts,)
        Sum of each vector's entries.
    length : int
        Entries of a vector.
    """

    gram: NDArray[np.float64]
    sums: NDArray[np.float64]
    length: int

    def correlations(self, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return Pearson's r between the vectors of some texts; 0 where one is constant.

        Parameters
        ----------
        members : ndarray of int
            Indices of the texts.

        Returns
        -------
        ndarray of float64, shape (n_members, n_members)
        """
        gram, sums = self.gram[np.ix_(members, members)], self.sums[members]
        covariance = gram - np.outer(sums, sums) / self.length
        spread = np.sqrt(np.maximum(np.diagonal(covariance), 0))
        # Rounding leaves a constant vector a small deviation.
        varies = spread > 1e-6 * np.sqrt(np.diagonal(gram))
        scale = np.divide(1, spread, out=np.zeros_like(spread), where=varies)
        correlations: NDArray[np.float64] = np.clip(covariance * np.outer(scale, scale), -1, 1)
        return correlations


def products_of_features(features: NDArray[np.float64]) -> Products:
    """Multiply all pairs of feature vectors, shape (n_texts, n_features)."""
    return Products(features @ features.T, features.sum(axis=1), features.shape[1])


def products_of_topologies(series: Sequence[Tensor], entries: int = _ENTRIES) -> Products:
    """Multiply all pairs of the upper triangles of texts' topologies.

    Parameters
    ----------
    series : sequence of Tensor, each of shape (n_tokens, n_neurons)
        Standardised series of each text.
    entries : int
        Entries of topologies to hold at a time; beyond that, topologies are recomputed for each
        pair of blocks, which is cheap compared with their products.
    """
    n_texts, n_neurons = len(series), series[0].shape[1]
    length = n_neurons * (n_neurons - 1) // 2
    size = max(1, entries // length)
    blocks = [range(start, min(start + size, n_texts)) for start in range(0, n_texts, size)]
    gram, sums = np.empty((n_texts, n_texts)), np.empty(n_texts)
    pairs = list(combinations_with_replacement(blocks, 2))
    first, rows = None, torch.empty(0)
    for one, other in tqdm(pairs, "products", disable=None, leave=False, delay=2):
        if one is not first:
            first, rows = one, triangles([series[number] for number in one])
            sums[list(one)] = rows.sum(dim=1, dtype=torch.float64).cpu()
        columns = rows if other is one else triangles([series[number] for number in other])
        block = (rows @ columns.T).double().cpu().numpy()
        gram[np.ix_(one, other)] = block
        gram[np.ix_(other, one)] = block.T
    return Products((gram + gram.T) / 2, sums, length)


def triangles(series: Sequence[Tensor]) -> Tensor:
    """Compute the topologies of texts and flatten the entries above their diagonals.

    Returns
    -------
    Tensor of float32, shape (n_texts, n_neurons * (n_neurons - 1) / 2)
    """
    n_neurons = series[0].shape[1]
    rows, columns = torch.triu_indices(n_neurons, n_neurons, offset=1, device=series[0].device)
    return torch.stack([(z.T @ z)[rows, columns] for z in series])
