"""Uncertainty of results: bootstrap intervals over groups, splits by group, permutation tests.

Splits, draws that need only sums, and intervals are the core's.

Examples of one group (one document, or the answers to one question) are not independent, so groups
are split and resampled as a whole.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from probe.api.parts import Resamples, interval, members_of, split_by_group

__all__ = [
    "Resamples",
    "Statistic",
    "bootstrap",
    "draws",
    "interval",
    "paired_difference",
    "permutation_p",
    "split_by_group",
]

# Called with indices of examples, in which an example may occur several times.
Statistic = Callable[[NDArray[np.int64]], float]


def bootstrap(
    statistic: Statistic,
    groups: Sequence[str],
    seed: int,
    repetitions: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic, resampling whole groups.

    Parameters
    ----------
    statistic : callable
        Called with the indices of the drawn examples. Draws in which it is NaN are ignored.
    groups : sequence of str
        The group of every example; as many groups are drawn, with replacement, as there are.
    seed : int
        Of the draws; use the same for statistics that are compared.
    repetitions : int
        Number of draws.
    level : float
        Coverage of the interval, from 0 to 1.

    Returns
    -------
    tuple of (float, float)
        Its ends, in the unit of the statistic; NaN if it was never defined.

    Notes
    -----
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3; groups as the unit:
    Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    return interval([statistic(numbers) for numbers in draws(groups, seed, repetitions)], level)


def draws(groups: Sequence[str], seed: int, repetitions: int) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of the examples of as many groups as there are, drawn with replacement."""
    members = members_of(groups)
    generator = np.random.default_rng(seed)
    for numbers in generator.integers(len(members), size=(repetitions, len(members))):
        yield np.concatenate([members[number] for number in numbers])


def paired_difference(
    first: Statistic,
    second: Statistic,
    groups: Sequence[str],
    seed: int,
    repetitions: int = 1000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return the difference of two statistics of the same examples, and its interval.

    Both are computed on the same draws, so that variation they share does not widen the interval.
    The parameters are those of `bootstrap`.

    Returns
    -------
    tuple of (float, float, float)
        `first - second` over all examples, and the ends of the interval.
    """

    def difference(numbers: NDArray[np.int64]) -> float:
        return first(numbers) - second(numbers)

    low, high = bootstrap(difference, groups, seed, repetitions, level)
    return difference(np.arange(len(groups))), low, high


def permutation_p(observed: float, null: Sequence[float]) -> float:
    """Return the one-sided p value of a statistic under permutations.

    The observed order counts as one of the permutations, so p is never 0 (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585).

    Examples
    --------
    >>> permutation_p(3.0, [1.0, 2.0, 3.0])
    0.5
    """
    return (1 + sum(value >= observed for value in null)) / (1 + len(null))
