"""Measures of the entries agree with their definitions, written out as loops over pairs."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.measures import THRESHOLDS, basic, edges, gini, measure, strengths
from probe.topology import Topology
from tests.topologies import topology_of

# One seed for every machine, and no memory of past failures on this one.
repeatable = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def make(matrix: NDArray[Any], undefined: tuple[int, ...] = ()) -> Topology:
    return topology_of(matrix, undefined=undefined)


def random_topology(n: int, seed: int, undefined: tuple[int, ...] = ()) -> Topology:
    """Correlations of neurons with a common part, rows of undefined neurons 0."""
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((n, 12)) + rng.standard_normal((n, 1)) * rng.standard_normal(12)
    matrix = np.atleast_2d(np.corrcoef(series)).astype(np.float32)
    matrix = np.clip((matrix + matrix.T) / 2, -1, 1)
    np.fill_diagonal(matrix, 1)
    for neuron in undefined:
        matrix[neuron], matrix[:, neuron] = 0, 0
    return make(matrix, undefined)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    n = draw(st.integers(1, 14))
    undefined = draw(st.sets(st.integers(0, n - 1), max_size=n))
    return random_topology(n, draw(st.integers(0, 10_000)), tuple(sorted(undefined)))


def defined(topology: Topology) -> list[int]:
    return [i for i in range(topology.n_neurons) if i not in topology.undefined]


def pairs(topology: Topology) -> list[float]:
    return [float(topology.matrix[i, j]) for i, j in combinations(defined(topology), 2)]


def loop_strengths(topology: Topology) -> list[float]:
    """Sum of |r| with every other neuron."""
    n = topology.n_neurons
    return [sum(abs(float(topology.matrix[i, j])) for j in range(n) if j != i) for i in range(n)]


def gini_of_differences(values: list[float]) -> float:
    """Mean absolute difference of all pairs over twice the mean."""
    n, mean = len(values), sum(values) / len(values)
    difference = sum(abs(x - y) for x in values for y in values) / n**2
    return difference / (2 * mean) if mean else 0.0


@given(topologies())
@repeatable
def test_means_and_shares_are_those_over_the_pairs(topology: Topology) -> None:
    r, numbers = pairs(topology), basic(topology.matrix, topology.undefined)
    assert numbers["neurons"] == len(defined(topology))
    count = max(len(r), 1)
    assert numbers["mean_r"] == pytest.approx(sum(r) / count, abs=1e-12)
    assert numbers["mean_abs_r"] == pytest.approx(sum(map(abs, r)) / count, abs=1e-12)
    assert numbers["mean_r2"] == pytest.approx(sum(value**2 for value in r) / count, abs=1e-12)
    for threshold in THRESHOLDS:
        share = sum(abs(value) > threshold for value in r) / count
        assert numbers[f"share_above_{threshold}"] == pytest.approx(share, abs=1e-12)


def test_a_pair_right_at_a_threshold_is_not_above_it() -> None:
    matrix = np.full((3, 3), 0.5)
    np.fill_diagonal(matrix, 1)
    numbers = basic(make(matrix).matrix)
    assert [numbers[f"share_above_{t}"] for t in THRESHOLDS] == [1, 1, 0]


@given(topologies())
@repeatable
def test_edges_are_every_pair_of_defined_neurons_once(topology: Topology) -> None:
    assert sorted(edges(topology).tolist()) == sorted(pairs(topology))


@given(topologies())
@repeatable
def test_strengths_sum_the_magnitudes_with_the_others(topology: Topology) -> None:
    expected = loop_strengths(topology)
    np.testing.assert_allclose(strengths(topology), expected, rtol=0, atol=1e-12)
    of_defined = [expected[neuron] for neuron in defined(topology)]
    mean = sum(of_defined) / max(len(of_defined), 1)
    numbers = basic(topology.matrix, topology.undefined)
    assert numbers["strength_mean"] == pytest.approx(mean, abs=1e-12)
    if of_defined:
        wanted = gini_of_differences(of_defined)
        assert numbers["strength_gini"] == pytest.approx(wanted, abs=1e-9)


@given(topologies())
@repeatable
def test_participation_ratio_is_that_of_the_eigenvalues(topology: Topology) -> None:
    keep = defined(topology)
    ratio = basic(topology.matrix, topology.undefined)["participation_ratio"]
    if not keep:
        assert ratio == 0
        return
    values = np.linalg.eigvalsh(topology.matrix[np.ix_(keep, keep)].astype(np.float64))
    expected = values.sum() ** 2 / (values**2).sum()
    assert ratio == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
@repeatable
def test_gini_is_the_mean_difference_over_twice_the_mean(values: list[float]) -> None:
    expected = gini_of_differences(values)
    assert gini(np.array(values)) == pytest.approx(expected, abs=1e-9)


def test_gini_grows_from_nobody_to_one_who_has_all() -> None:
    assert gini(np.full(5, 0.3)) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 0, 7.0])) == pytest.approx(4 / 5)
    assert gini(np.zeros(5)) == 0


def test_a_share_is_counted_in_double_precision() -> None:
    """In single precision 0.1 is a little more than 0.1."""
    just_above = np.array([[1, 0.1], [0.1, 1]], dtype=np.float32)
    assert float(just_above[0, 1]) > 0.1
    assert basic(just_above)["share_above_0.1"] == 1


@given(topologies(), st.integers(1, 20))
@repeatable
def test_hubs_are_the_strongest_defined_neurons_in_order(topology: Topology, hubs: int) -> None:
    strength = loop_strengths(topology)
    expected = sorted(defined(topology), key=lambda neuron: (-strength[neuron], neuron))[:hubs]
    found = measure(topology, MeasuresConfig(hubs=hubs, rewired=0)).hubs
    assert [value for _, value in found] == pytest.approx([strength[i] for i in expected])
    assert [neuron for neuron, _ in found] == expected


def test_hubs_that_are_equally_strong_keep_their_order() -> None:
    weight = np.where(np.arange(64) % 2, 0.25, 0.5)  # sums of powers of two are exact
    two_kinds = np.outer(weight, weight)
    np.fill_diagonal(two_kinds, 1)
    settings = MeasuresConfig(hubs=64, rewired=0)
    every = [neuron for neuron, _ in measure(make(two_kinds), settings).hubs]
    assert every == [*range(0, 64, 2), *range(1, 64, 2)]


@pytest.mark.parametrize(("neurons", "hubs"), [(1, 1), (8, 1), (64, 4), (250, 14)])
def test_hubs_are_five_and_a_half_percent(neurons: int, hubs: int) -> None:
    matrix = np.eye(neurons)
    assert len(measure(make(matrix), MeasuresConfig(rewired=0)).hubs) == hubs


def test_all_one_and_all_independent_are_the_ends_of_the_participation_ratio() -> None:
    assert basic(np.ones((6, 6), np.float32))["participation_ratio"] == pytest.approx(1)
    assert basic(np.eye(6, dtype=np.float32))["participation_ratio"] == pytest.approx(6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("matrix", "undefined", "neurons"),
    [(np.zeros((4, 4)), (0, 1, 2, 3), 0), (np.ones((1, 1)), (), 1), (np.eye(4), (), 4)],
)
def test_where_nothing_is_correlated_numbers_are_zero(
    matrix: NDArray[Any], undefined: tuple[int, ...], neurons: int
) -> None:
    assert basic(matrix.astype(np.float32), undefined) == {
        "mean_abs_r": 0, "mean_r": 0, "mean_r2": 0, "strength_mean": 0, "strength_gini": 0,
        "share_above_0.1": 0, "share_above_0.3": 0, "share_above_0.5": 0,
        "participation_ratio": neurons, "neurons": neurons,
    }  # fmt: skip
