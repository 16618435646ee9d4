"""Splits and bootstrap intervals over groups of texts.

Examples of one group (one document, or the answers to one question) are not independent, so groups
are split and resampled as a whole.
"""

from collections.abc import Sequence
from math import isclose

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError
from probe.system.logs import plural

# Intervals over fewer groups are marked: a bootstrap of so few is too narrow.
FEW = 20


def split_by_group(
    groups: Sequence[str], fractions: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Split examples at random into parts that share no group.

    Parameters
    ----------
    groups : sequence of str
        The group of every example.
    fractions : sequence of float
        Fraction of the examples in each part, as nearly as whole groups allow; every part has at
        least one group. They sum to 1.
    seed : int
        Of the order in which groups are assigned.

    Returns
    -------
    list of ndarray of int64
        Indices of the examples of each part, ascending.

    Raises
    ------
    UserError
        If there are fewer groups than parts.

    Examples
    --------
    >>> [part.tolist() for part in split_by_group(["a", "a", "b", "c", "c"], [0.6, 0.4], seed=0)]
    [[3, 4], [0, 1, 2]]
    """
    assert isclose(sum(fractions), 1), f"fractions {fractions} do not sum to 1"
    members = members_of(groups)
    if len(members) < len(fractions):
        raise UserError(
            f"{plural(len(members), 'document')} cannot be split into {len(fractions)} parts "
            "without sharing one; give more texts"
        )
    order = np.random.default_rng(seed).permutation(len(members))
    reached = np.cumsum([len(members[number]) for number in order])
    parts, start = [], 0
    for part, target in enumerate(np.cumsum(fractions) * len(groups), 1):
        last = len(members) - (len(fractions) - part)  # leaves a group for each part to come
        end = int(np.argmin(np.abs(reached[start:last] - target))) + start + 1
        parts.append(np.sort(np.concatenate([members[number] for number in order[start:end]])))
        start = end
    return parts


class Resamples:
    """Bootstrap draws of whole groups, shared by all statistics that are compared.

    Ratios, means and perplexities need only sums over the drawn examples. These are computed from
    one sum per group: a draw gives the number of times each group counts.

    Parameters
    ----------
    groups : sequence of str
        The group of every example.
    seed : int
        Of the draws.
    repetitions : int
        Number of draws.
    """

    def __init__(self, groups: Sequence[str], seed: int, repetitions: int = 1000) -> None:
        # In the order of their first example.
        order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._of = np.array([order[group] for group in groups])
        draws = np.random.default_rng(seed).integers(len(order), size=(repetitions, len(order)))
        self._times = np.stack(
            [np.bincount(row, minlength=len(order)).astype(np.float64) for row in draws]
        )

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the examples' values in every draw."""
        by_group = np.bincount(self._of, weights=values)
        return np.asarray(self._times @ by_group, dtype=np.float64)


def interval(
    values: Sequence[float] | NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """Return the central percentile interval of values; NaN if none is finite."""
    defined = np.asarray(values)[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def members_of(groups: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the indices of each group's examples, groups in the order of their first example."""
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    return [np.array(numbers, dtype=np.int64) for numbers in members.values()]
