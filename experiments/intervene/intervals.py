"""Halves of the texts that share no group, and intervals over groups.

A group is what texts have in common: the document they were cut from, or the question they answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probe.api import UserError

Vector = NDArray[np.float64]


def split_by_group(
    groups: Sequence[str], fractions: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Cut examples at random into parts that share no group, each about its share of them.

    Raises
    ------
    UserError
        If there are fewer groups than parts.

    Examples
    --------
    >>> [part.tolist() for part in split_by_group(["a", "a", "b", "c", "c"], [0.6, 0.4], seed=0)]
    [[0, 1, 3, 4], [2]]
    """
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < len(fractions):
        raise UserError(
            f"{len(names)} documents cannot be split into {len(fractions)} parts without sharing "
            "one; give more texts"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    reached = np.cumsum(np.bincount(numbers)[order])
    ends = np.searchsorted(reached, np.cumsum(fractions)[:-1] * len(groups) - 1e-9) + 1
    # Each part gets a group at least, however large the first ones are.
    cuts = [min(end, len(names) - left) for left, end in enumerate(ends[::-1], start=1)][::-1]
    return [
        np.flatnonzero(np.isin(numbers, part)).astype(np.int64) for part in np.split(order, cuts)
    ]


class Resamples:
    """Draws of whole groups, with replacement, the same for all that is compared.

    Sums over the drawn examples are all that ratios, means and perplexities need, and sums over
    groups are made once: a draw says how often each of them counts.

    Parameters
    ----------
    groups : sequence of str
        The group of every example.
    seed : int
        Of the draws.
    repetitions : int
        Number of draws.

    Notes
    -----
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3; groups as the unit:
    Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """

    def __init__(self, groups: Sequence[str], seed: int, repetitions: int = 1000) -> None:
        # In the order of their first example.
        order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._of = np.array([order[group] for group in groups])
        drawn = np.random.default_rng(seed).integers(len(order), size=(repetitions, len(order)))
        self._times = np.stack(
            [np.bincount(row, minlength=len(order)).astype(np.float64) for row in drawn]
        )

    def sums(self, values: Vector) -> Vector:
        """Return the sum of the examples' values in every draw."""
        by_group = np.bincount(self._of, weights=values)
        return np.asarray(self._times @ by_group, dtype=np.float64)


def interval(drawn: Vector, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of a statistic's values over draws."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
