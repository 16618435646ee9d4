"""Covariances between the topologies of single texts, computed from a few rows at a time.

Means, halves, correlations of means and the nearest mean are all linear in the topologies, so they
need only the covariances between texts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.subjects.reading import BAG, Text

Matrix = NDArray[np.float64]
# Correlations in memory at a time.
_BLOCK = 1 << 26


def topology_covariances(series: Tensor) -> Matrix:
    """Return the covariances of texts' correlations over the pairs of different neurons.

    Parameters
    ----------
    series : Tensor of float32, shape (n_texts, n_tokens, n_neurons)
        Series of unit length, zero where a neuron is constant (r counts as 0 there).

    Returns
    -------
    ndarray of float64, shape (n_texts, n_texts)
        Dimensionless; `C_ij / √(C_ii C_jj)` is the correlation between two texts' topologies.
    """
    n_texts, _, n_neurons = series.shape
    off = torch.zeros(n_texts, n_texts, dtype=torch.float64)
    total = torch.zeros(n_texts, dtype=torch.float64)
    step = max(1, _BLOCK // (n_texts * n_neurons))
    for start in range(0, n_neurons, step):
        r = series[:, :, start : start + step].transpose(1, 2) @ series
        rows = torch.arange(r.shape[1])
        r[:, rows, start + rows] = 0
        entries = r.view(n_texts, -1)
        off += entries @ entries.T
        total += entries.sum(dim=1, dtype=torch.float64)
    pairs = n_neurons * (n_neurons - 1)
    covariances: Matrix = (off / pairs - torch.outer(total, total) / pairs**2).numpy()
    return covariances


def bag_covariances(tokens: Sequence[NDArray[np.int64]]) -> Matrix:
    """Return the covariances of texts' token counts over the tokens of all of them."""
    vocabulary, places = np.unique(np.concatenate(tokens), return_inverse=True)
    counts = np.zeros((len(tokens), len(vocabulary)))
    owner = np.repeat(np.arange(len(tokens)), [len(ids) for ids in tokens])
    np.add.at(counts, (owner, places), 1)
    counts -= counts.mean(axis=1, keepdims=True)
    covariances: Matrix = counts @ counts.T / len(vocabulary)
    return covariances


def covariances(texts: Sequence[Text], what: str, part: str) -> Matrix:
    """Return the covariances between texts by a layer, the embeddings, or bags of tokens."""
    if what == BAG:
        return bag_covariances([text.counted[part] for text in texts])
    return topology_covariances(torch.stack([text.series[what, part] for text in texts]))


def mean_strengths(texts: Sequence[Text], what: str, part: str) -> NDArray[np.float64]:
    """Return Σ|r| of every neuron in the mean topology of texts, shape (n_neurons,)."""
    flat = torch.cat([text.series[what, part] for text in texts])
    mean = (flat.T @ flat / len(texts)).abs().double()
    strength: NDArray[np.float64] = (mean.sum(dim=1) - mean.diagonal()).numpy()
    return strength
