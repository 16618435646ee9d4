"""One pass over the texts: average topologies of two halves, and every text's hubs."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.hubs.bases import Bases, Correlated, norm_ratios
from experiments.hubs.ruling_tokens import Ruling
from probe.api import Config, series
from probe.api.parts import HUB_SHARE, this_rank

# Layer, basis and number of the basis's draw.
Place = tuple[int, str, int]


@dataclass
class Tally:
    """Sums over the texts, and every text's hubs, of one layer in one basis.

    Attributes
    ----------
    strongest : list of ndarray of int64, each of shape (n_hubs,)
        The strongest neurons of every text.
    """

    n_neurons: int
    n_hubs: int
    device: torch.device
    strongest: list[NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the sums of both halves; MPS has no float64."""
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        shape = (2, self.n_neurons, self.n_neurons)
        self._sums = torch.zeros(shape, dtype=torch.float64, device=device)
        self._counts = torch.zeros(shape, dtype=torch.float64, device=device)

    def add(self, correlated: Correlated, half: int) -> None:
        """Add one text."""
        defined = correlated.defined.to(self._counts)
        self._sums[half] += correlated.matrix.to(self._sums)
        self._counts[half].addr_(defined, defined)
        self.strongest.append(correlated.strongest(self.n_hubs).cpu().numpy())

    def average(self, *halves: int) -> Correlated:
        """Average r over the texts of one half, or of both, in which it is defined."""
        counts = self._counts[list(halves)].sum(dim=0)
        mean = self._sums[list(halves)].sum(dim=0) / counts.clamp(min=1)
        return Correlated(mean, counts.diagonal() > 0)

    def hubs(self, *halves: int) -> NDArray[np.int64]:
        """Return the strongest neurons of the average topology, the strongest first."""
        strongest: NDArray[np.int64] = self.average(*halves).strongest(self.n_hubs).cpu().numpy()
        return strongest


@dataclass
class Reading:
    """The result of one pass.

    Attributes
    ----------
    half, tokens : list of int
        Half of every text, 0 or 1, and its number of tokens.
    groups : list of str
        The document or question of every text.
    tallies : dict
        By layer, basis and draw.
    first_norm : dict of int to list of float
        Norm of the first token over the text's median norm, by layer, dimensionless.
    ruling : dict of int to list of Ruling
        The tokens that rule every text, by layer; empty if they were not looked for.
    """

    half: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    tallies: dict[Place, Tally] = field(default_factory=dict)
    first_norm: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ruling: dict[int, list[Ruling]] = field(default_factory=lambda: defaultdict(list))

    @property
    def layers(self) -> list[int]:
        """Layers that were read."""
        return sorted({layer for layer, _, _ in self.tallies})

    def draws(self, layer: int, basis: str) -> list[Tally]:
        """Return the draws of a basis; none if it was not requested."""
        return [
            t for (at, name, _), t in sorted(self.tallies.items()) if (at, name) == (layer, basis)
        ]

    def members(self, half: int) -> NDArray[np.int64]:
        """Return the indices of a half's texts."""
        return np.flatnonzero(np.array(self.half) == half)


def read(config: Config, bases: Bases, n_hubs: int | None) -> Reading:
    """Read every text once.

    Documents are assigned to the two halves alternately, texts of similar length together, so that
    both halves have texts of all lengths, and no document is in both.

    Raises
    ------
    UserError
        If model or data cannot be loaded.
    """
    store, device = series(config), this_rank(config.runtime.device).device
    reading, halves = Reading(), dict[str, int]()
    for number in tqdm(store.order, "hubs", disable=None, leave=False, delay=2):
        group = store.examples[number].group
        half = halves.setdefault(group, len(halves) % 2)
        reading.half.append(half)
        reading.groups.append(group)
        reading.tokens.append(store.examples[number].n_tokens)
        for layer in store.layers:
            activations = torch.from_numpy(store.read(number, layer)).to(device)
            ratios = norm_ratios(activations)
            reading.first_norm[layer].append(float(ratios[0]))
            if bases.ruling is not None:
                reading.ruling[layer].append(Ruling.of(activations, ratios, bases.ruling))
            for basis, draw, transformed in bases(activations, number):
                place = layer, basis, draw
                if place not in reading.tallies:
                    n = transformed.shape[1]
                    reading.tallies[place] = Tally(n, number_of_hubs(n, n_hubs), device)
                reading.tallies[place].add(Correlated.of(transformed), half)
    return reading


def number_of_hubs(n_neurons: int, requested: int | None) -> int:
    """Return the number of hubs, by default 5.6 % of the neurons.

    Examples
    --------
    >>> number_of_hubs(896, requested=None)
    50
    """
    return min(n_neurons, requested or max(1, round(HUB_SHARE * n_neurons)))
