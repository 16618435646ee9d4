"""How often neurons are hubs of single texts, chosen on one half and counted on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.hubs.bases import OBSERVED, RANDOM, ROTATED, SHIFTED, WITHOUT_FIRST
from experiments.hubs.reading import Reading, Tally
from experiments.hubs.settings import Hubs
from experiments.statistics import bootstrap, paired_difference

# A neuron that is a hub in so large a share of the texts is one often.
OFTEN = 0.9


@dataclass(frozen=True)
class Frequencies:
    """A layer's hubs in one basis, over all of its draws.

    Attributes
    ----------
    basis : str
        observed, without first token, rotated, shifted or random weights.
    draws : list of Tally
        What was counted, in the order of the draws.
    first, second : ndarray of int64
        Texts of the half that hubs are chosen by, and of that in which they are counted.
    """

    basis: str
    draws: Sequence[Tally]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        """Share of the first half's hubs that are hubs of each text of the second, shape (n,)."""
        found = [
            [np.isin(hubs, draw.strongest[text]).mean() for text in self.second]
            for draw, hubs in ((draw, draw.hubs(0)) for draw in self.draws)
        ]
        mean: NDArray[np.float64] = np.array(found, dtype=np.float64).mean(axis=0)
        return mean

    @cached_property
    def curves(self) -> NDArray[np.float64]:
        """Hub frequency in the second half, neurons by rank in the first, (n_draws, n_neurons).

        Ranked and counted on the same texts, the first ranks would be the largest frequencies by
        choice alone.
        """
        return np.array([self._curve(draw) for draw in self.draws])

    def _curve(self, draw: Tally) -> NDArray[np.float64]:
        order = np.argsort(-frequency(draw, self.first), kind="stable")
        return frequency(draw, self.second)[order]

    def count(self, share: float) -> float:
        """Count the first half's hubs that are hubs in at least a share of the second's texts."""
        counts = [(frequency(d, self.second)[d.hubs(0)] >= share).sum() for d in self.draws]
        return float(np.mean(counts))

    @property
    def halves_in_common(self) -> float:
        """Share of the hubs that the average topologies of both halves have in common."""
        return float(np.mean([np.isin(d.hubs(0), d.hubs(1)).mean() for d in self.draws]))


def frequency(tally: Tally, texts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of some texts in which each neuron is a hub, shape (n_neurons,)."""
    found = np.concatenate([tally.strongest[text] for text in texts])
    return np.bincount(found, minlength=tally.n_neurons) / len(texts)


def layer_frequencies(
    reading: Reading, random: Sequence[Reading], layer: int
) -> dict[str, Frequencies]:
    """Collect the observed hubs of a layer and those of every null that was asked for."""
    draws = {
        basis: reading.draws(layer, basis) for basis in (OBSERVED, WITHOUT_FIRST, ROTATED, SHIFTED)
    }
    draws[RANDOM] = [tally for other in random for tally in other.draws(layer, OBSERVED)]
    halves = reading.members(0), reading.members(1)
    return {basis: Frequencies(basis, found, *halves) for basis, found in draws.items() if found}


def frequency_rows(
    variant: str, reading: Reading, random: Sequence[Reading], settings: Hubs
) -> list[dict[str, Any]]:
    """Make the rows of the table of frequencies, one for every layer and basis."""
    rows = []
    for layer in reading.layers:
        found = layer_frequencies(reading, random, layer)
        for basis, frequencies in found.items():
            row = {"variant": variant, "layer": layer, "basis": basis}
            rows.append(row | _numbers(frequencies, found[OBSERVED], reading, settings))
    return rows


def _numbers(
    found: Frequencies, observed: Frequencies, reading: Reading, settings: Hubs
) -> dict[str, Any]:
    """Sum a basis up; the interval of a difference is that of documents drawn for both alike."""
    groups = [reading.groups[text] for text in found.second]
    tally = found.draws[0]

    def mean(numbers: NDArray[np.int64]) -> float:
        return float(found.hits[numbers].mean())

    def of_observed(numbers: NDArray[np.int64]) -> float:
        return float(observed.hits[numbers].mean())

    low, high = bootstrap(mean, groups, settings.seed, settings.repetitions)
    numbers = {
        "draws": len(found.draws),
        "texts": len(groups),
        "median_tokens": float(np.median(reading.tokens)),
        "neurons": tally.n_neurons,
        "hubs": tally.n_hubs,
        "frequency": float(found.hits.mean()),
        "low": low,
        "high": high,
        "chance": tally.n_hubs / tally.n_neurons,
        "often": found.count(OFTEN),
        "always": found.count(1),
        "halves_in_common": found.halves_in_common,
    }
    if found.basis == OBSERVED:
        return numbers
    more = paired_difference(of_observed, mean, groups, settings.seed, settings.repetitions)
    names = ("observed_more_by", "more_low", "more_high")
    return numbers | dict(zip(names, more, strict=True))
