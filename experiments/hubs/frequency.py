"""How often hubs chosen on one half of the documents are hubs of single texts of the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.hubs.bases import KEPT, OBSERVED, RANDOM, ROTATED, SHIFTED, WITHOUT_FIRST
from experiments.hubs.reading import Reading, Tally
from experiments.hubs.settings import Hubs
from experiments.statistics import bootstrap, paired_difference

# Share of the texts from which on a neuron is often a hub.
OFTEN = 0.9


@dataclass(frozen=True)
class Frequencies:
    """A layer's hubs in one basis, over all of its draws.

    Attributes
    ----------
    basis : str
        One of those of `experiments.hubs.bases`.
    draws : list of Tally
        The tallies, in the order of the draws.
    first, second : ndarray of int64
        Texts of the half on which hubs are chosen, and of the half in which they are counted.
    """

    basis: str
    draws: Sequence[Tally]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        """Share of the first half's hubs that are hubs of each text of the second, shape (n,)."""
        shares = [
            [np.isin(hubs, draw.strongest[text]).mean() for text in self.second]
            for draw, hubs in ((draw, draw.hubs(0)) for draw in self.draws)
        ]
        mean: NDArray[np.float64] = np.array(shares, dtype=np.float64).mean(axis=0)
        return mean

    @cached_property
    def curves(self) -> NDArray[np.float64]:
        """Hub frequency in the second half, by rank in the first, shape (n_draws, n_neurons).

        Ranking and counting on the same texts would make the first ranks the largest by selection
        alone.
        """
        return np.array([self._curve(draw) for draw in self.draws])

    def _curve(self, draw: Tally) -> NDArray[np.float64]:
        order = np.argsort(-frequency(draw, self.first), kind="stable")
        return frequency(draw, self.second)[order]

    def count(self, share: float) -> float:
        """Count the hubs of the first half that are hubs in this share of the second's texts."""
        counts = [(frequency(d, self.second)[d.hubs(0)] >= share).sum() for d in self.draws]
        return float(np.mean(counts))

    @property
    def halves_in_common(self) -> float:
        """Share of the hubs that the average topologies of both halves have in common."""
        return float(np.mean([np.isin(d.hubs(0), d.hubs(1)).mean() for d in self.draws]))


def frequency(tally: Tally, texts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of some texts in which each neuron is a hub, shape (n_neurons,)."""
    hubs = np.concatenate([tally.strongest[text] for text in texts])
    return np.bincount(hubs, minlength=tally.n_neurons) / len(texts)


def layer_frequencies(
    reading: Reading, random: Sequence[Reading], layer: int
) -> dict[str, Frequencies]:
    """Collect the hubs of a layer, observed and under every requested null model."""
    draws = {
        basis: reading.draws(layer, basis)
        for basis in (OBSERVED, WITHOUT_FIRST, *KEPT, ROTATED, SHIFTED)
    }
    draws[RANDOM] = [tally for other in random for tally in other.draws(layer, OBSERVED)]
    halves = reading.members(0), reading.members(1)
    return {basis: Frequencies(basis, each, *halves) for basis, each in draws.items() if each}


def frequency_rows(
    variant: str, reading: Reading, random: Sequence[Reading], settings: Hubs
) -> list[dict[str, Any]]:
    """Return the rows of the table of frequencies, one per layer and basis."""
    rows = []
    for layer in reading.layers:
        by_basis = layer_frequencies(reading, random, layer)
        for basis, frequencies in by_basis.items():
            row = {"variant": variant, "layer": layer, "basis": basis}
            rows.append(row | _numbers(frequencies, by_basis[OBSERVED], reading, settings))
    return rows


def _numbers(
    own: Frequencies, observed: Frequencies, reading: Reading, settings: Hubs
) -> dict[str, Any]:
    """Summarise a basis; the interval of the difference uses the same draws for both."""
    groups = [reading.groups[text] for text in own.second]
    tally = own.draws[0]

    def mean(numbers: NDArray[np.int64]) -> float:
        return float(own.hits[numbers].mean())

    def of_observed(numbers: NDArray[np.int64]) -> float:
        return float(observed.hits[numbers].mean())

    low, high = bootstrap(mean, groups, settings.seed, settings.repetitions)
    numbers = {
        "draws": len(own.draws),
        "texts": len(groups),
        "documents": len(set(groups)),
        "median_tokens": float(np.median(reading.tokens)),
        "neurons": tally.n_neurons,
        "hubs": tally.n_hubs,
        "frequency": float(own.hits.mean()),
        "low": low,
        "high": high,
        "chance": tally.n_hubs / tally.n_neurons,
        "often": own.count(OFTEN),
        "always": own.count(1),
        "halves_in_common": own.halves_in_common,
    }
    if own.basis == OBSERVED:
        return numbers
    more = paired_difference(of_observed, mean, groups, settings.seed, settings.repetitions)
    names = ("observed_more_by", "more_low", "more_high")
    return numbers | dict(zip(names, more, strict=True))
