"""Chance levels against simulated noise, and summaries against NumPy and SciPy."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from probe.topology.reliability import (
    BINS,
    Null,
    Reliability,
    correlate_entries,
    debiased_r2,
    white_noise,
)

RELIABILITY = Reliability(
    tokens=100, noise=0.01, split_half=0.5, halves=[], layer_agreement={}, null=None
)


@pytest.mark.parametrize("weights", [np.ones(3), np.array([20.0, 40.0, 80.0])])
def test_white_noise_has_the_variance_of_simulated_noise(weights: np.ndarray) -> None:
    tokens = np.array([20, 40, 80])
    rng = np.random.default_rng(0)
    means = []
    for _ in range(40):
        examples = [np.corrcoef(rng.standard_normal((40, t))) for t in tokens]
        mean = np.average(examples, axis=0, weights=weights)
        means.append(mean[np.triu_indices(40, 1)])
    r = np.concatenate(means)
    assert white_noise(tokens - 1, weights) == pytest.approx(r.var(), rel=0.05)
    known = replace(RELIABILITY, noise=white_noise(tokens - 1, weights))
    assert known.chance_abs_r == pytest.approx(np.abs(r).mean(), rel=0.03)


def test_fishers_z_has_three_degrees_of_freedom_less_than_tokens() -> None:
    rng = np.random.default_rng(1)
    z = [np.arctanh(np.corrcoef(rng.standard_normal((2, 12)))[0, 1]) for _ in range(20_000)]
    assert white_noise(np.array([12 - 3]), np.ones(1)) == pytest.approx(np.var(z), rel=0.05)


def test_chance_is_what_the_literature_says_at_60_and_256_tokens() -> None:
    for tokens, expected in ((60, 0.1039), (256, 0.04997)):
        known = replace(RELIABILITY, noise=1 / (tokens - 1))
        assert known.chance_abs_r == pytest.approx(expected, rel=1e-3)


def test_debiased_r2_of_noise_is_zero_and_of_a_planted_correlation_is_its_square() -> None:
    rng = np.random.default_rng(2)
    for rho in (0.0, 0.6):
        x = rng.standard_normal((4000, 40))
        y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal((4000, 40))
        r2 = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(x, y, strict=True)]
        found = debiased_r2(float(np.mean(r2)), noise=1 / 39)
        assert found == pytest.approx((39 * np.mean(r2) - 1) / 38)
        assert found == pytest.approx(rho**2, abs=0.02)


def test_entries_are_correlated_as_scipy_does() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 50))
    assert correlate_entries(a, b) == pytest.approx(stats.pearsonr(a, b).statistic)


def test_entries_that_do_not_vary_have_no_correlation() -> None:
    assert correlate_entries(np.ones(3), np.arange(3.0)) is None
    assert correlate_entries(np.array([1.0]), np.array([2.0])) is None
    assert correlate_entries(np.empty(0), np.empty(0)) is None


@pytest.mark.parametrize(("half", "full"), [(0.5, 2 / 3), (1.0, 1.0), (0.0, 0.0), (-1.0, -1.0)])
def test_the_whole_is_more_reliable_than_its_halves(half: float, full: float) -> None:
    assert replace(RELIABILITY, split_half=half).full_length == pytest.approx(full)


def test_without_halves_nothing_is_said_of_the_whole() -> None:
    assert replace(RELIABILITY, split_half=None).full_length is None


def test_a_null_sums_up_all_its_shifts() -> None:
    rng = np.random.default_rng(4)
    shifted = [rng.uniform(-0.3, 0.2, 500) for _ in range(3)]
    null, r = Null.of(shifted), np.concatenate(shifted)
    assert null.shifts == 3
    assert null.mean_abs_r == pytest.approx(np.abs(r).mean())
    assert null.mean_r2 == pytest.approx((r**2).mean())
    assert null.quantiles["0.95"] == pytest.approx(np.quantile(np.abs(r), 0.95))
    assert sum(null.counts) == 1500
    low = BINS[np.flatnonzero(null.counts)[0]]
    assert low <= r.min() < low + 0.01


def test_a_null_of_one_neuron_is_empty() -> None:
    null = Null.of([np.empty(0)])
    assert (null.mean_abs_r, sum(null.counts)) == (0.0, 0)


def test_a_record_is_read_back() -> None:
    known = replace(RELIABILITY, null=Null.of([np.array([0.1, -0.2])]), layer_agreement={"3": 0.5})
    assert Reliability.from_record(asdict(known)) == known
    assert Reliability.from_record(None) is None
