"""Box growing: how many nodes lie within a radius of a node, for every node and radius."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.network import Network, Vector
from experiments.multifractal.paths import Paths
from probe.api import UserError

Counts = NDArray[np.int64]
_MOST_RADII = 10_000  # every node has a count at each


@dataclass(frozen=True)
class Rules:
    """Which distances count, and at which radii; as published by default.

    Attributes
    ----------
    scale : float
        λ of the distance λ/|w|, in units of the weights.
    above, most : float
        Distances count that are larger than `above` and at most `most`.
    min_edges : int
        A node counts if it has more distances than these.
    decimals : int
        To which distances are rounded; the radii are all rounded distances.
    radii : int or None
        Instead: as many radii in equal ratios up to `most`, and no rounding.
    reach : int or None
        The most links of a path; 1 are edges themselves, None is all.
    invented : bool
        Whether edges are followed that are no weights of the model.

    Raises
    ------
    UserError
        If a distance could be rounded to 0, or there are no such radii.
    """

    scale: float = 1.0
    above: float = 1.0
    most: float = 150.0
    min_edges: int = 10
    decimals: int = 0
    radii: int | None = None
    reach: int | None = 1
    invented: bool = True

    def __post_init__(self) -> None:
        """Check that all radii are positive, as their logarithms are taken."""
        if not 0 <= self.above < self.most:
            raise UserError(
                f"distances above {self.above:g} and up to {self.most:g} are none; give a larger "
                "threshold"
            )
        least = 0 if self.radii else 0.5 * 10.0**-self.decimals
        if self.above <= least:
            raise UserError(f"distances above {self.above:g} give a radius of 0; leave out more")

    def grid(self) -> Vector:
        """Return the radii that distances can have, in ascending order.

        Raises
        ------
        UserError
            If they are too many.
        """
        if self.radii:
            return np.geomspace(self.above, self.most, self.radii + 1)[1:]
        one = 10.0**self.decimals
        if self.most * one > _MOST_RADII:
            raise UserError(
                f"distances up to {self.most:g} have more than {_MOST_RADII:,} rounded radii; give "
                "radii in equal ratios (study.radii=150), or a smaller threshold"
            )
        return np.arange(int(np.rint(self.most * one)) + 1) / one

    def places(self, distances: Vector) -> Counts:
        """Return the place in the grid of distances that count."""
        if self.radii:
            return np.searchsorted(self.grid(), distances).astype(np.int64)
        return np.rint(distances * 10.0**self.decimals).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes that count, kept from one checkpoint for the others.

    Attributes
    ----------
    sizes : tuple of int
        Of the layers of the network.
    numbers : ndarray of int64, shape (n_nodes,)
        In ascending order, over all layers.
    """

    sizes: tuple[int, ...]
    numbers: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes around all nodes that count.

    Attributes
    ----------
    radii : ndarray of float64, shape (n_radii,)
        In ascending order.
    counts : ndarray of int64, shape (n_nodes, n_radii)
        `N_i(r)`: the node itself, and those within the radius.
    nodes : Nodes
        Which they are.
    """

    radii: Vector
    counts: Counts
    nodes: Nodes


def grow(network: Network, rules: Rules, nodes: Nodes | None = None) -> Boxes:
    """Grow boxes around the nodes of a network (Xiao et al. 2025, Algorithm 2).

    One layer of sources at a time: only its distances to one other layer are held, and a histogram.

    Parameters
    ----------
    network : Network
        Any.
    rules : Rules
        Which distances count.
    nodes : Nodes or None
        Nodes that count whatever their number of edges, e.g. those of the first checkpoint.

    Raises
    ------
    UserError
        If no node counts, all distances are equal, radii are too many, or the nodes are those of
        another network.
    """
    if nodes is not None and nodes.sizes != network.sizes:
        raise UserError(
            f"layers have {_told(network.sizes)} nodes here, {_told(nodes.sizes)} at the first "
            "step; compare checkpoints of one model"
        )
    followed = network if rules.invented else network.without_invented()
    paths = Paths(followed, rules.scale, rules.reach)
    numbers, histograms = [], []
    for layer, (start, end) in enumerate(pairwise(network.starts)):
        histogram = _histogram(paths, layer, end - start, rules)
        if nodes is None:
            counting = np.flatnonzero(histogram.sum(axis=1) > rules.min_edges)
        else:
            first, last = np.searchsorted(nodes.numbers, (start, end))
            counting = nodes.numbers[first:last] - start
        numbers.append(start + counting)
        histograms.append(histogram[counting])
    return _boxes(rules, Nodes(network.sizes, np.concatenate(numbers)), np.concatenate(histograms))


def _histogram(paths: Paths, layer: int, n_nodes: int, rules: Rules) -> Counts:
    """Count the distances of every node of a layer by their place in the grid of radii."""
    shape = n_nodes, len(rules.grid())
    histogram = np.zeros(shape, dtype=np.int64)
    for _, distances in paths.from_layer(layer):
        rows, columns = np.nonzero((distances > rules.above) & (distances <= rules.most))
        places = rows * shape[1] + rules.places(distances[rows, columns])
        histogram += np.bincount(places, minlength=histogram.size).reshape(shape)
    return histogram


def _boxes(rules: Rules, nodes: Nodes, histogram: Counts) -> Boxes:
    if not histogram.any():
        raise UserError(
            f"no node has more than {rules.min_edges} edges of length {rules.above:g} to "
            f"{rules.most:g}; give a larger threshold or sample more neurons"
        )
    occupied = histogram.any(axis=0)
    if occupied.sum() < 2:
        raise UserError(
            "all distances are equal, so that no slope over radii is defined; round them less"
        )
    counts = 1 + np.cumsum(histogram[:, occupied], axis=1)
    return Boxes(rules.grid()[occupied], counts, nodes)


def _told(sizes: tuple[int, ...]) -> str:
    return f"{sum(sizes)} ({', '.join(map(str, sizes[:6]))}{', …' if len(sizes) > 6 else ''})"
