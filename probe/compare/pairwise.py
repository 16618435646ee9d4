"""Compare every two topologies."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from probe.compare.entries import Difference, differences, pearson, spearman, upper_entries
from probe.compare.hubs import Overlap, Relabelling
from probe.compare.items import Item
from probe.compare.spaces import group_spaces

_MOST = 10  # pairs of neurons to report where two topologies differ


@dataclass(frozen=True)
class Pair:
    """Two items and their similarity.

    Attributes
    ----------
    items : tuple of int
        Indices of the two items.
    unmatched : str or None
        Why their neurons do not correspond; then all below but `relative` is absent.
    correlation, spearman : float or None
        Of the entries above the diagonal, by value and by rank, dimensionless.
    ceiling : float or None
        Noise ceiling: the correlation expected of two topologies that differ by noise alone,
        `√(a·b)` of their split-half r at full length. Topologies of the same texts share their
        noise and may exceed it.
    rms_difference : float or None
        Root mean square difference of the entries, dimensionless.
    largest : list of (int, int, float, float)
        The pairs of neurons that differ most, each with its r in both.
    overlap : Overlap or None
        Hubs in common.
    relative : dict of str to float
        For each measure `(b - a)/max(|a|, |b|)`, from -2 to 2.
    """

    items: tuple[int, int]
    unmatched: str | None
    relative: dict[str, float]
    correlation: float | None = None
    spearman: float | None = None
    ceiling: float | None = None
    rms_difference: float | None = None
    largest: list[Difference] = field(default_factory=list)
    overlap: Overlap | None = None


@dataclass(frozen=True)
class Comparison:
    """All items, and all pairs of them in the order of `itertools.combinations`."""

    items: list[Item]
    pairs: list[Pair]

    def matrix(self, value: Callable[[Pair], float | None]) -> NDArray[np.float64]:
        """Arrange a value of the pairs as a matrix, shape (n_items, n_items).

        Symmetric with diagonal 1; NaN where a pair has no value.
        """
        matrix = np.eye(len(self.items))
        for pair in self.pairs:
            number = value(pair)
            matrix[pair.items] = matrix[pair.items[::-1]] = np.nan if number is None else number
        return matrix


def compare(
    items: Sequence[Item], permutations: int = 1000, seed: int = 0, ranks: bool = False
) -> Comparison:
    """Compare every two items.

    Parameters
    ----------
    items : sequence of Item
        What to compare.
    permutations : int
        Random relabellings, the null model of hubs in common.
    seed : int
        Of the relabellings.
    ranks : bool
        Whether to correlate the ranks of the entries, too (Spearman).
    """
    relabelling = Relabelling(permutations, seed)
    matched = {
        pair.items: pair
        for numbers in group_spaces([item.space for item in items])
        if len(numbers) > 1
        for pair in _matched(items, numbers, relabelling, ranks)
    }
    pairs = [
        matched.get((a, b))
        or Pair((a, b), items[a].space.unlike(items[b].space), _relative(items[a], items[b]))
        for a, b in combinations(range(len(items)), 2)
    ]
    return Comparison(list(items), pairs)


def _matched(
    items: Sequence[Item], numbers: list[int], relabelling: Relabelling, ranks: bool
) -> Iterator[Pair]:
    """Compare items that have the same neurons."""
    topologies = [items[number].topology for number in numbers]
    neurons = topologies[0].n_neurons
    entries, defined = upper_entries(topologies)
    by_value = pearson(entries, defined)
    by_rank = spearman(entries, defined) if ranks else np.full(by_value.shape, np.nan)
    pairs = list(combinations(range(len(numbers)), 2))
    for i, j in tqdm(pairs, desc="pairs", disable=None, leave=False, delay=2):
        a, b = items[numbers[i]], items[numbers[j]]
        both = set(range(neurons)) - set(a.topology.undefined) - set(b.topology.undefined)
        rms, largest = differences(entries[[i, j]], defined[[i, j]], neurons, _MOST)
        yield Pair(
            items=(numbers[i], numbers[j]),
            unmatched=None,
            relative=_relative(a, b),
            correlation=_number(by_value[i, j]),
            spearman=_number(by_rank[i, j]),
            ceiling=_ceiling(a, b),
            rms_difference=rms,
            largest=largest,
            overlap=relabelling.overlap(a.hubs, b.hubs, both),
        )


def _ceiling(a: Item, b: Item) -> float | None:
    """Return the geometric mean of the two reliabilities (Spearman 1904)."""
    reliabilities = [
        reliability.full_length
        for reliability in (a.topology.reliability, b.topology.reliability)
        if reliability is not None and reliability.full_length is not None
    ]
    if len(reliabilities) < 2 or min(reliabilities) <= 0:
        return None
    return float(np.sqrt(reliabilities[0] * reliabilities[1]))


def _relative(a: Item, b: Item) -> dict[str, float]:
    relative = {}
    for name, value in a.numbers.items():
        if name in b.numbers:
            largest = max(abs(value), abs(b.numbers[name]))
            relative[name] = (b.numbers[name] - value) / largest if largest else 0.0
    return relative


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
