"""Boxes are counts of distances within a radius, whatever the signs, order and scale of weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.multifractal.boxes import Boxes, Nodes, Rules, grow
from experiments.multifractal.network import Link, Network
from experiments.multifractal.paths import Paths
from experiments.multifractal.scaling import scaling
from probe.api import UserError
from tests.experiments.multifractal.planted_graphs import all_distances, initialised, layers_of

few = settings(derandomize=True, database=None, deadline=None, max_examples=30)
SIZES = (14, 30, 20, 16)


def planted(seed: int) -> list[np.ndarray]:
    return layers_of(np.random.default_rng(seed), *SIZES)


def tau(boxes: Boxes) -> np.ndarray:
    return scaling(boxes.counts, boxes.radii).tau


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(most=60.5, min_edges=3),
        Rules(decimals=1),
        Rules(radii=25, above=4.0),
        Rules(reach=2, scale=0.5),
        Rules(reach=None),
    ],
)
def test_counts_are_those_of_brute_force(rules: Rules) -> None:
    network = Network.chain(planted(0))
    distances = all_distances(Paths(network, rules.scale, rules.reach), network.sizes)
    grid, rows, kept = set[float](), [], []
    for node, row in enumerate(distances):
        counting = [d for d in row if rules.above < d <= rules.most]
        if len(counting) > rules.min_edges:
            kept.append(node)
            rows.append(counting if rules.radii else np.round(counting, rules.decimals))
            grid |= set(np.round(counting, rules.decimals))
    if rules.radii:
        ratio = (rules.most / rules.above) ** (1 / rules.radii)
        radii = [rules.above * ratio ** (k + 1) for k in range(rules.radii)]
        occupied = [
            any(((row > low) & (row <= high)).any() for row in map(np.array, rows))
            for low, high in zip([0, *radii], [*radii[:-1], rules.most], strict=False)
        ]
        radii = [radius for radius, there in zip(radii, occupied, strict=True) if there]
    else:
        radii = sorted(grid)
    found = grow(network, rules)
    assert found.nodes.numbers.tolist() == kept
    np.testing.assert_allclose(found.radii, radii, rtol=1e-12)
    tolerance = 1 + 1e-12
    expected = [[1 + int((np.array(row) <= r * tolerance).sum()) for r in radii] for row in rows]
    assert found.counts.tolist() == expected


def test_masses_grow_to_one_and_partition_functions_fall_with_q() -> None:
    boxes = grow(initialised(3, 32, 0.02, 0.006, 0), Rules())
    masses = boxes.counts / boxes.counts[:, -1:]
    assert (np.diff(boxes.counts, axis=1) >= 0).all()
    assert (masses > 0).all()
    assert masses.max() == 1
    found = scaling(boxes.counts, boxes.radii)
    np.testing.assert_allclose(np.exp(found.log_partition[:, -1]), len(masses), rtol=1e-13)
    assert (np.diff(found.log_partition, axis=0) <= 1e-12).all()


def test_invented_edges_of_length_one_count_only_on_longer_paths() -> None:
    network = initialised(2, 24, 0.02, 0.01, 0)
    own, without = Rules(), Rules(invented=False)
    assert np.array_equal(grow(network, own).counts, grow(network, without).counts)
    layers = np.searchsorted(network.starts, grow(network, own).nodes.numbers, side="right") - 1
    assert not {1, 6} & set(layers)
    further = Rules(reach=2), Rules(reach=2, invented=False)
    assert grow(network, further[0]).counts.sum() > grow(network, further[1]).counts.sum()


@few
@given(seed=st.integers(0, 99), reach=st.sampled_from([1, 2, None]))
def test_signs_do_not_matter(seed: int, reach: int | None) -> None:
    matrices, rng = planted(seed), np.random.default_rng(seed + 1)
    flipped = [each * rng.choice([-1, 1], each.shape) for each in matrices]
    rules = Rules(reach=reach)
    one, other = (grow(Network.chain(each), rules) for each in (matrices, flipped))
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(tau(one), tau(other))


@few
@given(seed=st.integers(0, 99), reach=st.sampled_from([1, 2, None]))
def test_the_order_of_neurons_does_not_matter(seed: int, reach: int | None) -> None:
    matrices, rng = planted(seed), np.random.default_rng(seed + 1)
    orders = [rng.permutation(size) for size in SIZES]
    permuted = [each[orders[layer]][:, orders[layer + 1]] for layer, each in enumerate(matrices)]
    rules = Rules(reach=reach)
    one, other = (grow(Network.chain(each), rules) for each in (matrices, permuted))
    np.testing.assert_allclose(tau(one), tau(other), atol=1e-12)


@few
@given(seed=st.integers(0, 99), factor=st.floats(1e-3, 1e3))
def test_a_scale_of_the_weights_does_not_matter_where_radii_scale_too(
    seed: int, factor: float
) -> None:
    matrices = planted(seed)
    larger = Network.chain([factor * each for each in matrices])
    own = grow(Network.chain(matrices), Rules(radii=30, above=5.0))
    by_radii = grow(larger, Rules(radii=30, above=5.0 / factor, most=150 / factor))
    by_scale = grow(larger, Rules(radii=30, above=5.0, scale=factor))
    for other in (by_radii, by_scale):
        assert np.array_equal(own.counts, other.counts)
        np.testing.assert_allclose(tau(own), tau(other), atol=1e-12)


def test_whole_radii_depend_on_the_scale_of_the_weights() -> None:
    network = initialised(6, 64, 0.0228, 0.006, 0)
    doubled = Network(
        network.sizes,
        tuple(
            link if link.invented else Link(link.source, link.target, 2 * link.weights)
            for link in network.links
        ),
    )
    assert np.abs(tau(grow(network, Rules())) - tau(grow(doubled, Rules()))).max() > 0.05


def test_nodes_of_the_first_step_stay_as_weights_grow_or_vanish() -> None:
    matrices = [each / 4 for each in planted(0)]
    first = grow(Network.chain(matrices), Rules())
    grown = Network.chain([3 * each for each in matrices])
    assert len(grow(grown, Rules()).nodes.numbers) > len(first.nodes.numbers)
    kept = grow(grown, Rules(), first.nodes)
    assert np.array_equal(kept.nodes.numbers, first.nodes.numbers)
    vanished = [matrices[0].copy(), *matrices[1:]]
    vanished[0][first.nodes.numbers[0]] = 0
    found = grow(Network.chain(vanished), Rules(), first.nodes)
    assert (found.counts[0] == 1).all()


def test_steps_of_different_shapes_are_refused() -> None:
    first = grow(Network.chain(planted(0)), Rules()).nodes
    other = Network.chain(layers_of(np.random.default_rng(0), 14, 30, 20))
    message = r"layers have 64 \(14, 30, 20\) nodes here, 80 \(14, 30, 20, 16\) at the first step"
    with pytest.raises(UserError, match=message):
        grow(other, Rules(), first)
    assert isinstance(first, Nodes)


def test_more_radii_than_memory_holds_are_refused() -> None:
    network = Network.chain(planted(0))
    with pytest.raises(UserError, match=r"up to 1e\+08 have more than 10,000 rounded radii; give"):
        grow(network, Rules(most=1e8))
    assert len(grow(network, Rules(most=1e8, radii=20)).radii) > 1


def test_equal_distances_are_refused() -> None:
    with pytest.raises(UserError, match="all distances are equal, so that no slope over radii is"):
        grow(Network.chain([np.full((5, 20), 0.1)]), Rules())


def test_no_node_of_enough_edges_is_refused() -> None:
    message = "no node has more than 10 edges of length 1 to 150; give a larger threshold or"
    for few_edges in (np.full((5, 8), 0.1), np.full((5, 20), 0.001)):
        with pytest.raises(UserError, match=message):
            grow(Network.chain([few_edges]), Rules())
    with pytest.raises(UserError, match=message):
        grow(Network.chain([np.full((5, 20), 0.001)]), Rules(), Nodes((5, 20), np.arange(5)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"most": 1.0}, "distances above 1 and up to 1 are none; give a larger threshold"),
        ({"above": 0.2}, "distances above 0.2 give a radius of 0; leave out more"),
        ({"above": 0.0, "radii": 9}, "distances above 0 give a radius of 0; leave out more"),
    ],
)
def test_rules_without_radii_are_refused(words: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Rules(**words)  # type: ignore[arg-type]
