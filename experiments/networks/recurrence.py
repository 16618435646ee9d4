"""Do networks recur? Overlap with those of other texts, beside templates that are permuted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.networks.masks import Masks
from experiments.networks.signals import Matrix

# Published threshold of IoU, chosen by eye (Liu et al. 2025, arXiv:2502.20408).
RECURS = 0.2


class Recurrence(NamedTuple):
    """How often each template recurs.

    Attributes
    ----------
    counts : ndarray of int64, shape (k,)
        Networks of other texts whose IoU with the template is above the threshold.
    null : ndarray of float64, shape (k,)
        The mean count of the template permuted within layers.
    low, high : ndarray of float64, shape (k,)
        Central 95 % range of that count.
    """

    counts: NDArray[np.int64]
    null: Matrix
    low: Matrix
    high: Matrix

    @property
    def within_null(self) -> Masks:
        """Templates that recur no more often than permuted ones: not above the range, (k,)."""
        return self.counts <= self.high


def iou(first: Masks, second: Masks) -> Matrix:
    """Return |A ∩ B| / |A ∪ B| of every two masks, shape (k, k'); 0 if both are empty.

    Parameters
    ----------
    first, second : ndarray of bool, shape (k, n_units) and (k', n_units)

    Examples
    --------
    >>> iou(np.array([[True, True, False]]), np.array([[False, True, True], [False] * 3]))
    array([[0.33333333, 0.        ]])
    """
    # Sums of ones are exact in float32, whose product is quick, up to 2²⁴ units.
    shared = (first.astype(np.float32) @ second.astype(np.float32).T).astype(np.float64)
    union = first.sum(axis=1)[:, None] + second.sum(axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def recurrence(
    templates: Masks,
    networks: Sequence[Masks],
    layers: NDArray[np.int64],
    threshold: float = RECURS,
    draws: int = 100,
    seed: int = 0,
) -> Recurrence:
    """Count the networks that overlap with each template, and with templates permuted.

    Parameters
    ----------
    templates : ndarray of bool, shape (k, n_units)
        Networks that are looked for.
    networks : sequence of ndarray of bool, each of shape (k', n_units)
        Networks of every sample in which they are looked for.
    layers : ndarray of int, shape (n_units,)
        The layer of every unit: a permutation keeps the number of units in each.
    threshold : float
        IoU that must be exceeded, from 0 to 1.
    draws : int
        Number of permutations.
    seed : int
        Of the permutations.
    """
    rng = np.random.default_rng(seed)
    null = np.empty((draws, len(templates)))
    for draw in tqdm(range(draws), "permutations", disable=None, leave=False, delay=2):
        null[draw] = _count(templates[:, permuted(layers, rng)], networks, threshold)
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    return Recurrence(_count(templates, networks, threshold), null.mean(axis=0), low, high)


def permuted(layers: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation of the units that keeps every unit in its layer, shape (n_units,)."""
    order = np.argsort(layers, kind="stable")
    return_to = np.empty_like(order)
    return_to[order] = order[np.lexsort((rng.random(len(layers)), layers[order]))]
    return return_to


def _count(templates: Masks, networks: Sequence[Masks], threshold: float) -> NDArray[np.int64]:
    counts = np.zeros(len(templates), dtype=np.int64)
    for sample in networks:
        counts += (iou(templates, sample) > threshold).sum(axis=1)
    return counts
