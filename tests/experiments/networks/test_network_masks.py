"""Signs, z values and thresholds are SciPy's, NumPy's and nilearn's; empty networks are no harm."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from experiments.networks.masks import (
    Threshold,
    empty,
    fix_signs,
    sizes,
    threshold_maps,
    z_maps,
)
from probe.api import UserError

RNG = np.random.default_rng(0)
MAPS = RNG.gamma(1.0, size=(6, 500)) * np.array([1, -1, 1, -1, -1, 1])[:, None]
ALL = np.ones(500, dtype=bool)


def test_skewness_is_positive_after_signs_are_fixed() -> None:
    assert (stats.skew(MAPS, axis=1) < 0).sum() == 3
    fixed = fix_signs(MAPS)
    np.testing.assert_allclose(stats.skew(fixed, axis=1), np.abs(stats.skew(MAPS, axis=1)))
    np.testing.assert_array_equal(np.abs(fixed), np.abs(MAPS))


def test_z_maps_are_scipys_and_constant_ones_are_zero() -> None:
    maps = np.concatenate([MAPS, np.full((1, 500), 3.0)])
    z = z_maps(maps)
    np.testing.assert_allclose(z[:-1], stats.zscore(MAPS, axis=1), atol=1e-12)
    assert not z[-1].any()


def test_rules_are_their_definitions() -> None:
    z = z_maps(MAPS)
    varying = RNG.random(500) < 0.9
    for rule, size in (("two-sided", np.abs(z)), ("one-sided", z)):
        masks = threshold_maps(z, varying, rule, 1.5)
        np.testing.assert_array_equal(masks, (size > 1.5) & varying)
        assert masks.any()


def test_the_percentile_rule_is_nilearns() -> None:
    z = z_maps(MAPS)
    masks = threshold_maps(z, ALL, "percentile", 1.0)
    least = stats.scoreatpercentile(np.abs(z), 100 - 100 / 6)
    np.testing.assert_array_equal(masks, np.abs(z) >= least)
    assert masks.sum() == 500  # as many as there are units
    for ratio in (0.0, 6.0):
        with pytest.raises(UserError, match=f"ratio {ratio:g} of 6 maps; choose a ratio above 0"):
            threshold_maps(z, ALL, "percentile", ratio)


def test_signs_of_maps_do_not_change_two_sided_masks() -> None:
    flipped = MAPS * np.array([1, -1, 1, 1, -1, -1])[:, None]
    np.testing.assert_array_equal(
        threshold_maps(z_maps(MAPS), ALL), threshold_maps(z_maps(flipped), ALL)
    )


@pytest.mark.parametrize("rule", ["two-sided", "one-sided"])
def test_the_union_shrinks_as_the_threshold_rises(rule: Threshold) -> None:
    z = z_maps(MAPS)
    unions = [threshold_maps(z, ALL, rule, value).any(axis=0) for value in (0.5, 1.0, 2.0, 4.0)]
    for wide, narrow in pairwise(unions):
        assert (narrow <= wide).all()
        assert narrow.sum() < wide.sum()


def test_networks_without_units_are_reported() -> None:
    z = np.zeros((3, 500))
    z[1, [0, 499]] = [9.0, -9.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = threshold_maps(z, ALL)
    assert empty(masks).tolist() == [0, 2]
    layers = np.repeat([2, 5], 250)
    assert sizes(masks, layers).tolist() == [[0, 0], [1, 1], [0, 0]]
