"""Hubs that two topologies have in common, against hubs relabelled at random."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Hubs in common, and how many to expect under random relabelling.

    Attributes
    ----------
    shared : int
        Hubs in common.
    jaccard, share : float
        Divided by the hubs of either, and by the smaller number of hubs, dimensionless.
    chance, chance_95 : float
        Mean and 95 % quantile of the share under relabelling.
    p : float
        One-sided p value, `(1 + times that relabelling shares as many)/(1 + permutations)`
        (Phipson & Smyth 2010), which is never 0.
    """

    shared: int
    jaccard: float
    share: float
    chance: float
    chance_95: float
    p: float


class Relabelling:
    """Null model: hubs in common after the neurons of one topology are relabelled at random.

    It depends on the numbers of neurons and hubs alone, so that equal sizes share one null.

    Parameters
    ----------
    permutations : int
        Relabellings to draw.
    seed : int
        Of the relabellings.
    """

    def __init__(self, permutations: int, seed: int) -> None:
        self._permutations, self._seed = permutations, seed
        self._nulls: dict[tuple[int, int, int], NDArray[np.int64]] = {}

    def shared(self, neurons: int, first: int, second: int) -> NDArray[np.int64]:
        """Draw the number of hubs in common, `first` with `second`, shape (n_permutations,)."""
        sizes = (neurons, first, second)
        if sizes not in self._nulls:
            rng = np.random.default_rng((self._seed, *sizes))
            hub = np.arange(neurons) < first
            shared = [rng.permutation(hub)[:second].sum() for _ in range(self._permutations)]
            self._nulls[sizes] = np.array(shared, dtype=np.int64)
        return self._nulls[sizes]

    def overlap(
        self, first: Collection[int], second: Collection[int], defined: Collection[int]
    ) -> Overlap | None:
        """Compare hubs among the neurons defined in both; None if one has no hub there."""
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
