"""Covariances between the topologies of single texts, without forming a topology.

All that follows is linear in the topologies: means, halves, correlations of means and the nearest
mean. So the covariances between texts are enough, and `Σ_ab r_ab(i) r_ab(j) = ‖Z_i Z_jᵀ‖²` gives
them from the standardised series, (n_tokens, n_neurons) each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.subjects.reading import BAG, Text

Matrix = NDArray[np.float64]
# Numbers of a block of products between tokens.
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
    n_texts, n_tokens, n_neurons = series.shape
    flat = series.reshape(-1, n_neurons)
    step = max(1, _BLOCK // (n_tokens * len(flat)))
    rows = []
    for start in range(0, n_texts, step):
        products = series[start : start + step].reshape(-1, n_neurons) @ flat.T
        blocks = products.square_().view(-1, n_tokens, n_texts, n_tokens)
        rows.append(blocks.sum(dim=(1, 3), dtype=torch.float64))
    diagonal = series.double().square().sum(dim=1)
    off = torch.cat(rows) - diagonal @ diagonal.T
    total = series.double().sum(dim=2).square().sum(dim=1) - diagonal.sum(dim=1)
    pairs = n_neurons * (n_neurons - 1)
    covariances: Matrix = (off / pairs - torch.outer(total, total) / pairs**2).numpy()
    return covariances


def bag_covariances(tokens: Sequence[NDArray[np.int64]]) -> Matrix:
    """Return the covariances of texts' token counts over the tokens that any of them has."""
    vocabulary, places = np.unique(np.concatenate(tokens), return_inverse=True)
    counts = np.zeros((len(tokens), len(vocabulary)))
    owner = np.repeat(np.arange(len(tokens)), [len(ids) for ids in tokens])
    np.add.at(counts, (owner, places), 1)
    counts -= counts.mean(axis=1, keepdims=True)
    covariances: Matrix = counts @ counts.T / len(vocabulary)
    return covariances


def covariances(texts: Sequence[Text], what: str, part: str) -> Matrix:
    """Return the covariances between texts of a layer, of the embeddings, or of bags of tokens."""
    if what == BAG:
        return bag_covariances([text.counted[part] for text in texts])
    return topology_covariances(torch.stack([text.series[what, part] for text in texts]))


def mean_strengths(texts: Sequence[Text], what: str, part: str) -> NDArray[np.float64]:
    """Return Σ|r| of every neuron in the mean topology of texts, shape (n_neurons,)."""
    flat = torch.cat([text.series[what, part] for text in texts])
    mean = (flat.T @ flat / len(texts)).abs().double()
    strength: NDArray[np.float64] = (mean.sum(dim=1) - mean.diagonal()).numpy()
    return strength
