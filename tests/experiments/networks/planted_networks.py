"""Signals with planted networks: groups of units that follow the same time course."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.networks.matching import match
from experiments.networks.signals import Signals

Matrix = NDArray[np.float64]
GROUPS, UNITS, TOKENS, SAMPLES = 8, 3000, 120, 6


@dataclass(frozen=True)
class Planted:
    """Signals, and what was planted in them."""

    values: NDArray[np.float32]
    maps: Matrix
    courses: Matrix
    lengths: tuple[int, ...]

    def signals(self, rule: str = "zscore") -> Signals:
        return Signals.of(self.values, rule, self.lengths)

    def least_r(self, maps: Matrix) -> float:
        """Return the |r| with which the worst planted map is found."""
        return float(np.abs(match(self.maps, maps).r).min())


def planted(
    seed: int = 0,
    groups: int = GROUPS,
    units: int = UNITS,
    members: int = 150,
    tokens: int = TOKENS,
    samples: int = SAMPLES,
    courses: str = "normal",
    noise: float = 1.0,
) -> Planted:
    """Plant groups of `members` units with weights of either sign, in several samples."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((groups, units))
    for group in range(groups):
        chosen = rng.choice(units, members, replace=False)
        maps[group, chosen] = rng.uniform(0.8, 1.2, members) * rng.choice([-1, 1], members)
    series = getattr(rng, courses)(size=(tokens * samples, groups))
    values = series @ maps + noise * rng.normal(size=(tokens * samples, units))
    return Planted(values.astype(np.float32), maps, series, (tokens,) * samples)
