"""Whether two topologies have the same hubs, beside hubs drawn at random."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Hubs in common, and what to expect if neurons were relabelled at random.

    Attributes
    ----------
    shared : int
        Hubs in common.
    jaccard, share : float
        Their share of the hubs that either has, and of the fewer hubs, dimensionless.
    chance, chance_95 : float
        Mean and 95 % quantile of the share under relabelling.
    p : float
        One-sided: how often relabelling shares as many, `(1 + times)/(1 + permutations)`
        (Phipson & Smyth 2010), so that it is never 0.
    """

    shared: int
    jaccard: float
    share: float
    chance: float
    chance_95: float
    p: float


class Relabelling:
    """Hubs in common when the neurons of one topology are relabelled at random.

    Which neurons the hubs are does not matter then, only how many: equal sizes have one null.

    Parameters
    ----------
    permutations : int
        Relabellings to draw.
    seed : int
        Of the relabellings.
    """

    def __init__(self, permutations: int, seed: int) -> None:
        self._permutations, self._seed = permutations, seed
        self._known: dict[tuple[int, int, int], NDArray[np.int64]] = {}

    def shared(self, neurons: int, first: int, second: int) -> NDArray[np.int64]:
        """Draw how many of `first` hubs are among `second` hubs, shape (n_permutations,)."""
        sizes = (neurons, first, second)
        if sizes not in self._known:
            rng = np.random.default_rng((self._seed, *sizes))
            hub = np.arange(neurons) < first
            drawn = [rng.permutation(hub)[:second].sum() for _ in range(self._permutations)]
            self._known[sizes] = np.array(drawn, dtype=np.int64)
        return self._known[sizes]

    def overlap(
        self, first: Collection[int], second: Collection[int], defined: Collection[int]
    ) -> Overlap | None:
        """Compare hubs among the neurons that both define; None where one has no hub there."""
        ours, theirs = set(first) & set(defined), set(second) & set(defined)
        fewer = min(len(ours), len(theirs))
        if not fewer:
            return None
        shared = len(ours & theirs)
        null = self.shared(len(defined), len(ours), len(theirs))
        return Overlap(
            shared=shared,
            jaccard=shared / len(ours | theirs),
            share=shared / fewer,
            chance=float(null.mean()) / fewer,
            chance_95=float(np.quantile(null, 0.95)) / fewer,
            p=float(1 + (null >= shared).sum()) / (1 + len(null)),
        )
