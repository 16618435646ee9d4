"""Overlaps, correlations and reliability of maps against SciPy, statsmodels and counting."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from scipy.spatial.distance import dice, jaccard
from statsmodels.stats.anova import anova_lm

from experiments.task_mapping.agreement import icc, map_correlations, overlap, top_share


def test_overlap_is_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 400)) < 0.2
    found = overlap(first, second, 380)
    assert found.dice == pytest.approx(1 - dice(first, second))
    assert found.jaccard == pytest.approx(1 - jaccard(first, second))
    a, b = first.sum(), second.sum()
    table = [
        [found.shared, a - found.shared],
        [b - found.shared, 380 - a - b + found.shared],
    ]
    assert found.p == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
    assert found.expected == pytest.approx(stats.hypergeom.mean(380, a, b))
    assert found.excess == pytest.approx(found.shared / found.expected)


def test_chance_is_that_of_random_networks() -> None:
    rng = np.random.default_rng(0)
    first, second = np.arange(50) < 12, np.arange(50) < 20
    drawn = np.array([(first & rng.permutation(second)).sum() for _ in range(20_000)])
    found = overlap(first, np.roll(second, 5), 50)
    assert abs(drawn.mean() - found.expected) < 0.05
    assert abs((drawn >= found.shared).mean() - found.p) < 0.01


def test_empty_networks_share_nothing() -> None:
    none, some = np.zeros(10, bool), np.arange(10) < 3
    for found in (overlap(none, some, 10), overlap(none, none, 10), overlap(none, none, 0)):
        assert found[:2] == (0, 0)
        assert np.isnan(found.excess)
        assert found[3:] == (1, 0, 0)
    assert overlap(some, some, 10).dice == 1


def test_the_top_share_has_a_fixed_size_of_either_sign() -> None:
    z = np.random.default_rng(0).standard_normal(1000)
    z[:100] = np.nan
    mask = top_share(z, 0.1)
    assert mask.sum() == 90
    assert not mask[:100].any()
    assert np.abs(z[mask]).min() > np.nanmax(np.abs(z[~mask]))
    assert (z[mask] < 0).any()
    np.testing.assert_array_equal(top_share(-3 * z, 0.1), mask)
    assert top_share(np.ones(10), 0.3).tolist() == [True] * 3 + [False] * 7
    assert top_share(np.full(4, np.nan)).sum() == 0


def test_maps_are_correlated_over_units_that_neither_leaves_out() -> None:
    maps = np.random.default_rng(0).standard_normal((4, 50)) + np.arange(50) / 25
    maps[0, :5], maps[1, 3:9], maps[3] = np.nan, np.nan, 2.0
    found = map_correlations(maps)
    for i in range(3):
        for j in range(3):
            both = np.isfinite(maps[i]) & np.isfinite(maps[j])
            expected = stats.pearsonr(maps[i, both], maps[j, both]).statistic
            assert found[i, j] == pytest.approx(expected)
    assert np.isnan(found[3]).all()


def test_reliability_is_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal(30) + 0.7 * rng.standard_normal((4, 30)) + np.arange(4)[:, None]
    long = pd.DataFrame(
        {"z": maps.ravel(), "scan": np.repeat(range(4), 30), "unit": np.tile(range(30), 4)}
    )
    table = anova_lm(smf.ols("z ~ C(unit) + C(scan)", long).fit())
    mean_squares = table["sum_sq"] / table["df"]
    units, errors = mean_squares["C(unit)"], mean_squares["Residual"]
    assert icc(maps) == pytest.approx((units - errors) / (units + 3 * errors))
    gaps = np.hstack([maps, np.full((4, 2), np.nan)])
    gaps[1:, 30] = 1.0
    assert icc(gaps) == pytest.approx(icc(maps))


def test_reliability_of_a_published_table() -> None:
    # Shrout & Fleiss (1979), tables 2 and 4: four judges, six targets, ICC(3,1) = .71.
    judges = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4],
                       [8, 2, 8, 6, 9, 7]], dtype=float)  # fmt: skip
    assert round(icc(judges), 2) == 0.71


def test_reliability_needs_two_units_and_two_scans() -> None:
    assert np.isnan(icc(np.ones((3, 1))))
    assert np.isnan(icc(np.random.default_rng(0).standard_normal((1, 9))))
