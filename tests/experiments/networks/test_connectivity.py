"""Series of networks are naive means, their correlations NumPy's, their null that of shifts."""

import warnings

import numpy as np
import pytest
from scipy import signal

from experiments.networks import signals as module
from experiments.networks.connectivity import connectivity, network_series, shift_null
from experiments.networks.signals import Signals


@pytest.mark.parametrize("signed", [False, True])
def test_series_are_naive_means(signed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 8 * 30 * 16)  # several blocks
    rng = np.random.default_rng(0)
    signals = Signals.of(rng.normal(size=(30, 90)).astype(np.float32), "none")
    masks, z = rng.random((4, 90)) < 0.3, rng.normal(size=(4, 90))
    weights = masks * (np.sign(z) if signed else 1)
    expanded = signals.values[:, None, :].astype(np.float64) * weights
    found = network_series(signals, masks, z if signed else None)
    np.testing.assert_allclose(found, expanded.sum(axis=2) / masks.sum(axis=1), atol=1e-12)


def test_planted_correlations_are_recovered() -> None:
    rng = np.random.default_rng(0)
    white = np.linalg.qr(rng.normal(size=(200, 3)) - 0.0)[0]
    white = np.linalg.qr(white - white.mean(axis=0))[0]
    planted = np.array([[1, 0.6, -0.3], [0.6, 1, 0.2], [-0.3, 0.2, 1]])
    courses = white @ np.linalg.cholesky(planted).T
    masks = np.repeat(np.eye(3, dtype=bool), 5, axis=1)
    signals = Signals.of((courses @ masks).astype(np.float32), "none")
    np.testing.assert_allclose(connectivity(network_series(signals, masks)), planted, atol=1e-6)


def test_correlations_are_numpys() -> None:
    series = np.random.default_rng(0).normal(size=(50, 4)) + 1e3
    np.testing.assert_allclose(connectivity(series), np.corrcoef(series.T), atol=1e-12)


def test_an_empty_network_is_masked_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    signals = Signals.of(rng.normal(size=(40, 10)).astype(np.float32))
    masks = np.array([[True] * 5 + [False] * 5, [False] * 10, [False] * 5 + [True] * 5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = network_series(signals, masks)
        r = connectivity(series)
        null = shift_null(series, draws=20)
    assert np.isnan(series[:, 1]).all()
    for matrix in (r, null.mean, null.low, null.high):
        assert np.isnan(matrix).tolist() == [[row == 1 or column == 1 for column in range(3)]
                                             for row in range(3)]  # fmt: skip


def test_a_constant_series_has_no_correlation() -> None:
    series = np.random.default_rng(0).normal(size=(20, 2))
    series[:, 1] = 0.1
    assert np.isnan(connectivity(series)[1]).all()


def test_the_null_of_shifts_is_wider_for_slow_series() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(size=(400, 5))
    slow = signal.lfilter([1], [1, -0.95], white, axis=0)
    ranges = []
    for series in (white, slow):
        null = shift_null(series, draws=200, seed=3)
        off = ~np.eye(5, dtype=bool)
        assert np.abs(null.mean[off]).max() < 0.06
        np.testing.assert_allclose(null.low.diagonal(), 1)
        ranges.append((null.high - null.low)[off].mean())
    # White noise: 2 · 1.96 / √400.
    np.testing.assert_allclose(ranges[0], 0.196, rtol=0.1)
    assert ranges[1] > 3 * ranges[0]


def test_all_shifts_of_a_short_series_are_drawn() -> None:
    series = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    # Two spikes meet, r = 1, or not, r = −1/3: independent distances of 1 to 3 let them meet
    # where the second is shifted by one more, 2 of 9 pairs of distances.
    null = shift_null(series, draws=20000, seed=0)
    np.testing.assert_allclose(null.mean[0, 1], 2 / 9 - 7 / 27, atol=0.015)
    np.testing.assert_allclose([null.low[0, 1], null.high[0, 1]], [-1 / 3, 1])
