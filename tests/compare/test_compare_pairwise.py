"""Planted likeness is found between every two topologies, and only where neurons match."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.compare import Comparison, Item, compare
from probe.compare.spaces import Space
from probe.topology.reliability import Reliability
from tests.topologies import topology_of

N = 40


def make(
    label: str, seed: int, *, noise: float = 0.0, init: str = "pretrained", **changed: Any
) -> Item:
    """Make an item of a seed's matrix, five hubs in it, and of other noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((N, 9))
    hubs = rng.choice(N, 5, replace=False)
    hidden[hubs] = hidden[hubs[0]] + 0.3 * hidden[hubs]
    added = np.random.default_rng(sum(map(ord, label))).standard_normal((N, 9))
    matrix = np.corrcoef(hidden + noise * added)
    topology = topology_of(matrix, name=label, init=init, **changed)
    strength = np.abs(matrix).sum(axis=1)
    return Item(
        label=label,
        run=Path(label),
        topology=topology,
        space=Space("org/tiny", init, "residual", None, N),
        hubs=tuple(np.argsort(-strength)[:5].tolist()),
        numbers={"strength_mean": float(strength.mean()), "zero": 0.0},
    )


@pytest.fixture(scope="module")
def found() -> Comparison:
    items = [
        make("one", 1),
        make("near", 1, noise=0.2),
        make("random", 1, init="random"),
        make("far", 2),
        make("random too", 3, init="random"),
    ]
    return compare(items, permutations=999)


def test_every_two_are_there_once_and_in_order(found: Comparison) -> None:
    assert [pair.items for pair in found.pairs] == list(combinations(range(5), 2))


def test_what_is_alike_is_found_alike(found: Comparison) -> None:
    by = {pair.items: pair for pair in found.pairs}
    near, far = by[0, 1], by[0, 3]
    assert near.correlation is not None
    assert near.correlation > 0.9
    assert near.overlap is not None
    assert near.overlap.p <= 0.05
    assert far.correlation is not None
    assert abs(far.correlation) < 0.15
    assert near.rms_difference is not None
    assert far.rms_difference is not None
    assert 0 < near.rms_difference < far.rms_difference / 2
    upper = np.triu_indices(N, 1)
    one, other = (found.items[i].topology.matrix[upper].astype(float) for i in (0, 3))
    assert far.correlation == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-12)
    assert far.rms_difference == pytest.approx(np.sqrt(((one - other) ** 2).mean()))
    assert far.overlap is not None
    hubs, others = (set(found.items[i].hubs) for i in (0, 3))
    assert far.overlap.shared == len(hubs & others)
    assert len(far.largest) == 10
    assert far.spearman is None, "ranks were not asked for"


def test_neurons_that_do_not_match_give_measures_only(found: Comparison) -> None:
    for pair in found.pairs:
        inits = {found.items[number].space.init for number in pair.items}
        if len(inits) == 1:
            assert pair.unmatched is None
            continue
        assert pair.unmatched is not None
        assert "began differently" in pair.unmatched
        assert (pair.correlation, pair.rms_difference, pair.overlap) == (None, None, None)
        assert pair.largest == []
        assert "strength_mean" in pair.relative


def test_measures_differ_by_a_share_of_the_larger(found: Comparison) -> None:
    values = [item.numbers["strength_mean"] for item in found.items]
    for pair in found.pairs:
        a, b = (values[number] for number in pair.items)
        assert pair.relative == {"strength_mean": pytest.approx((b - a) / max(a, b)), "zero": 0.0}


def test_numbers_are_laid_out_as_a_matrix(found: Comparison) -> None:
    table = found.matrix(lambda pair: pair.correlation)
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diagonal(table), 1)
    assert np.isnan(table[0, 2])
    assert table[1, 3] == found.pairs[5].correlation


def test_ranks_are_correlated_where_asked_for() -> None:
    (pair,) = compare([make("one", 1), make("near", 1, noise=0.2)], ranks=True).pairs
    assert pair.spearman is not None
    assert pair.spearman > 0.9
    assert pair.spearman != pair.correlation


@pytest.mark.parametrize(
    ("halves", "expected"),
    # Spearman-Brown: 0.8 becomes 2·0.8/1.8, 0.5 becomes 2/3.
    [((0.8, 0.5), (1.6 / 1.8 * 2 / 3) ** 0.5), ((0.8, None), None), ((0.8, -0.2), None)],
)
def test_the_ceiling_is_what_noise_leaves(
    halves: tuple[float, float | None], expected: float | None
) -> None:
    known = [Reliability(900, 0.01, half, [], {}, None) for half in halves]
    items = [make(str(n), n, reliability=noise) for n, noise in enumerate(known)]
    (pair,) = compare(items, permutations=10).pairs
    assert pair.ceiling == (None if expected is None else pytest.approx(expected))
    (pair,) = compare([make("silent", 1), items[0]], permutations=10).pairs
    assert pair.ceiling is None


def test_a_topology_without_any_defined_neuron_gives_no_numbers() -> None:
    empty = topology_of(np.zeros((N, N)), undefined=tuple(range(N)))
    item = Item("empty", Path("empty"), empty, make("one", 1).space, (), {})
    (pair,) = compare([make("one", 1), item], permutations=10).pairs
    assert pair.unmatched is None
    assert (pair.correlation, pair.rms_difference, pair.overlap) == (None, None, None)


def test_random_topologies_of_random_series_are_unalike() -> None:
    """The null's own test: of 45 pairs of unrelated topologies few have many hubs in common."""
    items = [make(str(seed), seed) for seed in range(10, 20)]
    pairs = compare(items, permutations=500).pairs
    low = sum(pair.overlap is not None and pair.overlap.p <= 0.05 for pair in pairs)
    assert low <= 8
