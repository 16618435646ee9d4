"""Shortest paths through the layers, from the nodes of one layer at a time.

Links only go forward, so that one pass over the layers is exact and needs no heap; what no later
link starts from is let go.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import reduce

import numpy as np

from experiments.multifractal.minplus import min_plus
from experiments.multifractal.network import Matrix, Network


class Paths:
    """Distances along the links of a network.

    Parameters
    ----------
    network : Network
        Its links have lengths λ/|w|.
    scale : float
        λ, in units of the weights.
    reach : int or None
        The most links of a path; 1 are edges themselves, None is all.
    """

    def __init__(self, network: Network, scale: float = 1.0, reach: int | None = 1) -> None:
        self._n_layers = len(network.sizes)
        self._reach = reach
        self._into: dict[int, list[tuple[int, Matrix]]] = defaultdict(list)
        self._last_use: dict[int, int] = {}
        for link in network.links:
            self._into[link.target].append((link.source, link.distances(scale)))
            latest = max(link.target, self._last_use.get(link.source, 0))
            self._last_use[link.source] = latest

    def from_layer(self, source: int) -> Iterator[tuple[int, Matrix]]:
        """Yield every layer within reach, and the distances (n_source, n_target); inf is no path.

        Paths of different numbers of links are kept apart only where their number is limited.
        """
        frontier: dict[int, dict[int, Matrix]] = {}
        for target in range(source + 1, self._n_layers):
            arriving: dict[int, Matrix] = {}
            for middle, lengths in self._into.get(target, ()):
                if middle == source:
                    _shorten(arriving, 1, lengths)
                for links, before in frontier.get(middle, {}).items():
                    if self._reach is None:
                        _shorten(arriving, 1, min_plus(before, lengths))
                    elif links < self._reach:
                        _shorten(arriving, links + 1, min_plus(before, lengths))
            if arriving:
                yield target, reduce(np.minimum, arriving.values())
                frontier[target] = arriving
            for layer in [each for each in frontier if self._last_use.get(each, 0) <= target]:
                del frontier[layer]


def _shorten(arriving: dict[int, Matrix], links: int, distances: Matrix) -> None:
    known = arriving.get(links)
    arriving[links] = distances if known is None else np.minimum(known, distances)
