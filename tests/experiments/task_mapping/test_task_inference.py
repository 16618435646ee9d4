"""Thresholds against SciPy, statsmodels and nilearn, one-sided and two-sided."""

import numpy as np
import pytest
from nilearn.glm import fdr_threshold as nilearn_fdr_threshold
from scipy import stats
from statsmodels.stats.multitest import multipletests

from experiments.task_mapping.inference import (
    active,
    bonferroni_threshold,
    fdr_threshold,
    share_active,
    two_sided_p,
)

rates = pytest.mark.parametrize("q", [0.001, 0.05, 0.2])


def _z(n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    z[:200] += rng.choice([-3, 3], 200)
    return z


@rates
def test_two_sided_discoveries_are_scipys_and_statsmodels(q: float) -> None:
    z = _z()
    p = 2 * stats.norm.sf(np.abs(z))
    found = active(z, fdr_threshold(z, q))
    assert found.any()
    assert (z[found] < 0).any()
    np.testing.assert_array_equal(found, stats.false_discovery_control(p) <= q)
    np.testing.assert_array_equal(found, multipletests(p, q, "fdr_bh")[0])
    np.testing.assert_array_equal(
        active(z, bonferroni_threshold(len(z), q)), multipletests(p, q, "bonferroni")[0]
    )


@rates
def test_one_sided_discoveries_agree_as_well(q: float) -> None:
    # The library's one-sided threshold, on which the two-sided one rests.
    z = _z()
    p = stats.norm.sf(z)
    found = z >= nilearn_fdr_threshold(z, q)
    np.testing.assert_array_equal(found, stats.false_discovery_control(p) <= q)
    np.testing.assert_array_equal(found, multipletests(p, q, "fdr_bh")[0])
    assert found.sum() < active(z, fdr_threshold(z, q)).sum()


def test_units_left_out_are_no_tests_and_never_active() -> None:
    z = _z()
    gaps = np.insert(z, [0, 50, 3000], np.nan)
    assert fdr_threshold(gaps) == fdr_threshold(z)
    found = active(gaps, fdr_threshold(gaps))
    assert not found[np.isnan(gaps)].any()
    np.testing.assert_array_equal(found[~np.isnan(gaps)], active(z, fdr_threshold(z)))
    nothing = np.full(5, np.nan)
    assert fdr_threshold(nothing) == np.inf
    assert not active(nothing, fdr_threshold(nothing)).any()
    assert np.isnan(share_active(nothing))
    assert fdr_threshold(np.zeros(5)) == np.inf
    assert bonferroni_threshold(0) == bonferroni_threshold(1)


def test_p_values_are_two_sided() -> None:
    t = np.array([-2.0, 0.0, 2.0, 60.0, np.nan])
    # P(|T| > 2) of one degree of freedom is 1 − 2 arctan(2)/π.
    assert two_sided_p(t, 1)[2] == pytest.approx(1 - 2 * np.arctan(2) / np.pi)
    p = two_sided_p(t, 30)
    assert p[0] == p[2]
    assert p[1] == 1
    assert 0 < p[3] < 1e-30
    assert np.isnan(p[4])


def test_the_share_of_null_units_is_nominal() -> None:
    p = two_sided_p(np.random.default_rng(0).standard_t(30, 200_000), 30)
    assert abs(share_active(p) - 0.001) < 3 * np.sqrt(0.001 / 200_000)
    assert abs(share_active(p, 0.05) - 0.05) < 3 * np.sqrt(0.05 / 200_000)
