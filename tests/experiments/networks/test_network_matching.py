"""Components are matched as by trying every order, and overlaps are those of naive loops."""

import warnings
from itertools import permutations

import numpy as np
from scipy import stats

from experiments.networks.matching import correlations, match, stability
from experiments.networks.recurrence import Recurrence, iou, permuted, recurrence

RNG = np.random.default_rng(0)


def test_the_matching_is_the_best_of_all() -> None:
    first, second = RNG.normal(size=(2, 5, 12))
    r = np.abs(np.corrcoef(first, second)[:5, 5:])
    best = max(r[np.arange(5), order].sum() for order in permutations(range(5)))
    matched = match(first, second)
    np.testing.assert_allclose(np.abs(matched.r).sum(), best)
    np.testing.assert_allclose(correlations(first, second), np.corrcoef(first, second)[:5, 5:])


def test_a_constant_map_matches_nothing_without_a_warning() -> None:
    maps = np.concatenate([RNG.normal(size=(2, 9)), np.zeros((1, 9))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(np.abs(match(maps, maps).r), [1, 1, 0], atol=1e-12)


def test_stability_has_a_column_for_every_other_decomposition() -> None:
    maps = RNG.normal(size=(4, 50))
    found = stability(maps, [-maps[::-1], maps[[2, 0]]])
    np.testing.assert_allclose(found[:, 0], 1)
    np.testing.assert_allclose(found[:, 1], [1, np.nan, 1, np.nan])


def test_overlaps_are_those_of_loops() -> None:
    first, second = RNG.random((4, 60)) < 0.3, RNG.random((5, 60)) < 0.2
    first[1] = second[3] = False
    expected = [
        [
            sum(a and b for a, b in zip(one, other, strict=True))
            / max(1, sum(a or b for a, b in zip(one, other, strict=True)))
            for other in second
        ]
        for one in first
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = iou(first, second)
    np.testing.assert_allclose(found, expected)
    assert found[1, 3] == 0


def test_permutations_keep_units_in_their_layers() -> None:
    layers = RNG.permutation(np.repeat([0, 1, 7], [5, 20, 30]))
    order = permuted(layers, np.random.default_rng(3))
    assert sorted(order.tolist()) == list(range(55))
    np.testing.assert_array_equal(layers[order], layers)
    assert (order != np.arange(55)).sum() > 30


def test_every_order_within_a_layer_is_as_likely() -> None:
    rng, layers = np.random.default_rng(0), np.array([0, 1, 0, 0])
    orders = [tuple(permuted(layers, rng).tolist()) for _ in range(6000)]
    counts = [orders.count((a, 1, b, c)) for a, b, c in permutations((0, 2, 3))]
    assert sum(counts) == 6000
    assert all(abs(count - 1000) < 5 * np.sqrt(1000 * 5 / 6) for count in counts)


def test_recurring_networks_stand_out_from_their_null() -> None:
    layers = np.repeat(np.arange(4), 100)
    templates = np.zeros((3, 400), dtype=bool)
    templates[0, :30] = templates[1, 200:240] = True  # the third is empty
    networks = []
    for _ in range(10):
        sample = RNG.random((2, 400)) < 0.05
        sample[0] |= templates[0] & (RNG.random(400) < 0.8)
        networks.append(sample)
    found = recurrence(templates, networks, layers, threshold=0.2, draws=50, seed=1)
    again = recurrence(templates, networks, layers, threshold=0.2, draws=50, seed=1)
    overlaps = np.concatenate([iou(templates, sample) for sample in networks], axis=1)
    np.testing.assert_array_equal(found.counts, (overlaps > 0.2).sum(axis=1))
    assert found.counts[0] >= 9
    assert found.within_null.tolist() == [False, True, True]
    assert (found.low <= found.null).all()
    assert (found.null <= found.high).all()
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_null_is_that_of_hypergeometric_overlaps() -> None:
    """One layer, masks of 20 and 20 of 50 units: |A ∩ B| is hypergeometric."""
    masks = np.zeros((1, 50), dtype=bool)
    masks[0, :20] = True
    found = recurrence(masks, [masks] * 5, np.zeros(50, dtype=np.int64), 0.25, draws=1000)
    # IoU = s / (40 − s) > 0.25 where s > 8.
    expected = 5 * stats.hypergeom(50, 20, 20).sf(8)
    assert abs(found.null[0] - expected) < 5 * 5 * np.sqrt(0.25 / 1000)
    assert (found.low[0], found.high[0]) == (0, 5)


def test_a_count_within_the_range_is_marked() -> None:
    found = Recurrence(np.array([3, 4]), *(np.array([2.0, 2.0]),) * 2, np.array([3.0, 3.0]))
    assert found.within_null.tolist() == [True, False]
