"""Distances through the layers are those of Dijkstra's algorithm."""

import sys
import tracemalloc
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from experiments.multifractal import minplus
from experiments.multifractal.boxes import Rules, grow
from experiments.multifractal.network import Link, Network
from experiments.multifractal.paths import Paths
from tests.experiments.multifractal.planted_graphs import (
    Array,
    all_distances,
    initialised,
    layers_of,
)


def parallel() -> Network:
    """Return two blocks with a residual in parallel: paths of different numbers of links meet."""
    rng, links = np.random.default_rng(0), list[Link]()
    for start in (0, 3):
        for source, target in ((0, 1), (1, 3), (0, 2), (2, 3), (0, 3)):
            weights = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.4)
            links.append(Link(start + source, start + target, weights))
    return Network((6,) * 7, tuple(links))


def adjacency(network: Network) -> Array:
    starts = network.starts
    lengths = np.zeros((starts[-1], starts[-1]))
    for link in network.links:
        with np.errstate(divide="ignore"):
            here = 1 / np.abs(link.weights.astype(np.float64))
        rows = slice(starts[link.source], starts[link.source + 1])
        columns = slice(starts[link.target], starts[link.target + 1])
        lengths[rows, columns] = np.where(np.isinf(here), 0, here)
    return lengths


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("network", [initialised(2, 8, 0.02, 0.01, 0), parallel()])
def test_all_paths_are_those_of_dijkstra(
    network: Network, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr("experiments.multifractal.paths.min_plus", minplus.in_numpy)
    found = all_distances(Paths(network, reach=None), network.sizes)
    expected = dijkstra(csr_array(adjacency(network)))
    np.fill_diagonal(expected, np.inf)
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_all_paths_are_those_of_networkx() -> None:
    network = Network.chain(layers_of(np.random.default_rng(0), 5, 7, 4, 6))
    found = all_distances(Paths(network, reach=None), network.sizes)
    graph = nx.from_numpy_array(adjacency(network), create_using=nx.DiGraph)
    for source, lengths in nx.all_pairs_dijkstra_path_length(graph):
        for target, length in lengths.items():
            if target != source:
                assert found[source, target] == pytest.approx(length, rel=1e-14)
    assert np.isfinite(found).sum() == sum(
        a * b for i, a in enumerate(network.sizes) for b in network.sizes[i + 1 :]
    )


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
@pytest.mark.parametrize("network", [initialised(1, 6, 0.02, 0.01, 0), parallel()])
def test_a_reach_limits_the_links_of_a_path(network: Network, reach: int) -> None:
    edges = np.where(adjacency(network) > 0, adjacency(network), np.inf)
    expected = within = edges
    for _ in range(reach - 1):
        within = np.min(within[:, :, None] + edges[None], axis=1)
        expected = np.minimum(expected, within)
    found = all_distances(Paths(network, reach=reach), network.sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_memory_does_not_grow_with_the_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    # tracemalloc does not see what compiled code allocates.
    monkeypatch.setattr("experiments.multifractal.paths.min_plus", minplus.in_numpy)
    network = Network.chain(layers_of(np.random.default_rng(0), *[40] * 40))
    tracemalloc.start()
    boxes = grow(network, Rules(reach=None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(boxes.counts) == 39 * 40
    assert peak < 8 * sum(network.sizes) ** 2 / 2


def test_numba_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "experiments.multifractal.compiled", None)
    minplus._quickest.cache_clear()
    first, second = np.array([[1.0, np.inf]]), np.array([[2.0, np.inf], [0.5, 0.5]])
    assert minplus.min_plus(first, second).tolist() == [[3.0, np.inf]]
    assert minplus._quickest() is minplus.in_numpy
    minplus._quickest.cache_clear()


def test_compiled_and_numpy_agree_to_the_bit() -> None:
    pytest.importorskip("numba")
    from experiments.multifractal.compiled import min_plus

    rng = np.random.default_rng(0)
    for a, b in pairwise([(9, 30), (30, 21), (21, 1)]):
        first, second = 1 / rng.random(a), 1 / rng.random(b)
        first[rng.random(a) < 0.3] = np.inf
        assert np.array_equal(min_plus(first, second), minplus.in_numpy(first, second))
