"""Exponents and spectra are those that theory has for graphs and cascades that have one."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra
from scipy.stats import linregress

from experiments.multifractal.boxes import Rules, grow
from experiments.multifractal.network import Network
from experiments.multifractal.scaling import MOMENTS, scaling
from experiments.multifractal.spectrum import Spectrum, spectrum
from probe.api import UserError
from tests.experiments.multifractal.planted_graphs import (
    Array,
    cantor,
    cantor_masses,
    flower,
    hops,
    initialised,
    masses,
    weighted_fractal,
)

CASCADES = [([1, 0, 1], 8), ([1, 0, 2], 7), ([2, 0, 5], 4)]


def of_hops(graph: nx.Graph, itself: bool = True) -> Spectrum:
    distances = hops(graph)
    radii = np.arange(1, distances.max() + 1)
    return spectrum(scaling(masses(distances, radii, itself), radii))


def theory(generator: Sequence[int]) -> Array:
    shares = np.array([each for each in generator if each]) / sum(generator)
    return np.asarray(np.log((shares[:, None] ** (MOMENTS + 1)).sum(axis=0)) / np.log(1 / 3))


@pytest.mark.parametrize(
    "graph",
    [nx.cycle_graph(50), nx.grid_2d_graph(30, 30, periodic=True), nx.hypercube_graph(9)],
    ids=["ring", "torus", "hypercube"],
)
def test_graphs_whose_nodes_are_all_alike_have_no_width(graph: nx.Graph) -> None:
    found = of_hops(graph)
    assert found.width < 1e-9
    assert found.concave


def test_circulant_weights_have_no_width() -> None:
    first = 1 / np.random.default_rng(0).uniform(2, 140, 40)
    found = grow(Network.chain([np.stack([np.roll(first, by) for by in range(40)])]), Rules())
    assert spectrum(scaling(found.counts, found.radii)).width < 1e-9


def test_a_ring_has_dimension_one_without_the_node_itself() -> None:
    ring = nx.watts_strogatz_graph(1000, 4, 0)
    assert of_hops(ring, itself=False).alpha0 == pytest.approx(1, abs=1e-4)
    assert of_hops(ring).alpha0 == pytest.approx(0.987, abs=1e-3)


def test_small_worlds_have_the_published_spectrum() -> None:
    graph = nx.connected_watts_strogatz_graph(1000, 4, 1.0, seed=0)
    found = of_hops(graph, itself=False)
    assert found.alpha0 == pytest.approx(2.83, rel=0.01)
    assert (found.alpha.min(), found.alpha.max()) == pytest.approx((2.64, 3.04), rel=0.02)


@pytest.mark.parametrize(("generator", "generations"), CASCADES)
def test_cascades_have_their_exact_exponents(generator: list[int], generations: int) -> None:
    radii = 3.0 ** np.arange(generations + 1)
    found = scaling(cantor_masses(generator, generations, radii), radii)
    np.testing.assert_allclose(found.tau, theory(generator), atol=1e-12)
    np.testing.assert_allclose(found.r2, 1, atol=1e-12)
    shares = np.array([each for each in generator if each]) / sum(generator)
    information = -(shares * np.log(shares)).sum() / np.log(3)
    assert spectrum(found).alpha0 == pytest.approx(information, abs=2e-4)
    assert spectrum(found).concave
    dimension = np.log(2) / np.log(3)
    assert found.tau[MOMENTS == -1] == pytest.approx(-dimension, abs=1e-12)
    if generator == [1, 0, 1]:
        np.testing.assert_allclose(found.tau, MOMENTS * dimension, atol=1e-12)
        assert spectrum(found).width < 1e-12


@pytest.mark.parametrize(("generator", "generations"), CASCADES[:2])
@pytest.mark.parametrize("radii", ["equal ratios", "equal steps"])
def test_cascades_have_nearly_their_exponents_at_other_radii(
    generator: list[int], generations: int, radii: str
) -> None:
    largest = 3**generations
    at = np.geomspace(1, largest, 40) if radii == "equal ratios" else np.arange(1.0, largest, 9)
    error = np.abs(scaling(cantor_masses(generator, generations, at), at).tau - theory(generator))
    assert error.max() < 0.04
    assert error[np.abs(MOMENTS) <= 1].max() < 0.01


def test_a_cascade_on_a_line_has_nearly_its_exponents() -> None:
    _, weights = cantor([3, 7], 12)
    share = weights / weights.sum()
    radii = 2 ** np.arange(11)
    total = np.append(0.0, np.cumsum(share))
    place = np.arange(len(share))
    within = [
        total[np.minimum(place + radius, len(share) - 1) + 1] - total[np.maximum(place - radius, 0)]
        for radius in radii
    ]
    centres = np.repeat(np.stack(within, axis=1), np.rint(1e5 * share).astype(int), axis=0)
    expected = -np.log2(0.3 ** (MOMENTS + 1) + 0.7 ** (MOMENTS + 1))
    error = np.abs(scaling(centres, 2.0 * radii + 1).tau - expected)  # places of a ball
    assert error[MOMENTS >= 0].max() < 0.1
    assert error[np.abs(MOMENTS) <= 1].max() < 0.06


def test_a_flower_has_slope_one_among_its_hubs() -> None:
    distances = hops(flower(2, 2, 5))
    radii = 2.0 ** np.arange(np.log2(distances.max()))
    found = spectrum(scaling(masses(distances, radii, itself=False), radii))
    assert found.alpha[-1] == pytest.approx(1, abs=0.05)
    assert 1 < found.alpha0 < 2


@pytest.mark.parametrize(("copies", "factor", "generations"), [(3, 1 / 2, 6), (4, 1 / 3, 5)])
def test_weighted_fractals_have_nearly_their_dimension(
    copies: int, factor: float, generations: int
) -> None:
    graph = weighted_fractal(copies, factor, generations)
    lengths = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)))
    distances = dijkstra(lengths, directed=False)
    radii = distances.max() * factor ** np.arange(generations - 1, -1, -1.0)
    found = spectrum(scaling(masses(distances, radii * (1 + 1e-12)), radii))
    assert found.alpha0 == pytest.approx(np.log(copies) / np.log(1 / factor), rel=0.03)


def test_the_slope_at_zero_is_the_mean_dimension_of_nodes() -> None:
    boxes = grow(initialised(2, 32, 0.02, 0.006, 0), Rules())
    x = np.log(boxes.radii / boxes.radii[-1])
    own = [linregress(x, np.log(row / row[-1])).slope for row in boxes.counts]
    fine = scaling(boxes.counts, boxes.radii, np.array([-1e-3, 0, 1e-3]))
    assert (fine.tau[2] - fine.tau[0]) / 2e-3 == pytest.approx(np.mean(own), abs=1e-6)
    assert spectrum(fine).alpha0 == pytest.approx(np.mean(own), abs=1e-6)
    coarse = spectrum(scaling(boxes.counts, boxes.radii))
    assert coarse.alpha0 == pytest.approx(np.mean(own), abs=5e-4)


def test_lines_are_those_of_scipy() -> None:
    boxes = grow(initialised(2, 32, 0.02, 0.006, 1), Rules())
    found = scaling(boxes.counts, boxes.radii)
    share = boxes.counts / boxes.counts[:, -1:]
    for number, q in enumerate(MOMENTS):
        line = linregress(np.log(boxes.radii / boxes.radii[-1]), np.log((share**q).sum(axis=0)))
        assert found.tau[number] == pytest.approx(line.slope, abs=1e-12)
        expected = 1 if q == 0 else line.rvalue**2
        assert found.r2[number] == pytest.approx(expected, abs=1e-12)


def test_exponents_do_not_depend_on_how_nodes_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = grow(initialised(1, 32, 0.02, 0.006, 1), Rules())
    whole = scaling(boxes.counts, boxes.radii).tau
    monkeypatch.setattr("experiments.multifractal.scaling._BLOCK", 500)
    np.testing.assert_allclose(scaling(boxes.counts, boxes.radii).tau, whole, atol=1e-13)


def test_one_radius_is_refused() -> None:
    with pytest.raises(UserError, match="all distances are equal, so that no slope over radii"):
        scaling(np.ones((4, 1)), np.array([3.0]))


def test_concavity_is_told() -> None:
    for sign, concave in ((-1, True), (1, False)):
        planted = scaling(np.array([[1, 2]]), np.array([1.0, 2.0]))
        curved = type(planted)(MOMENTS, MOMENTS, MOMENTS, MOMENTS + sign * MOMENTS**2, MOMENTS)
        assert spectrum(curved).concave is concave
    for seed, concave in ((0, True), (1, False)):
        boxes = grow(initialised(2, 64, 0.0228, 0.006, seed), Rules())
        found = scaling(boxes.counts, boxes.radii)
        below = (found.tau[:-2] + found.tau[2:]) / 2 - found.tau[1:-1]  # chords, from the curve
        assert bool(below.max() < 1e-11) is concave
        assert spectrum(found).concave is concave
