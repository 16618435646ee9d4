"""Directions are those of NumPy's SVD, whitening loses nothing, and its check fires."""

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.networks.signals import Signals
from experiments.networks.subspace import is_exact, reduce_samples, strongest
from experiments.networks.whitening import check_white, whiten
from probe.api import UserError
from tests.experiments.networks.planted_networks import planted

# NumPy, and the path of a GPU.
devices = pytest.mark.parametrize("device", [None, "cpu"])


def _low_rank(n_rows: int, n_units: int, weights: NDArray[np.float64]) -> Signals:
    """Rows × units with the given singular values, up to noise of float32."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, len(weights))))[0] for n in (n_rows, n_units))
    return Signals.of((left * weights @ right.T).astype(np.float32), "none")


@devices
@pytest.mark.parametrize("n_rows", [60, 700])
def test_directions_are_singular_vectors(n_rows: int, device: str | None) -> None:
    assert is_exact(n_rows, 3) == (n_rows == 60)  # both ways are taken
    signals = _low_rank(n_rows, 900, np.array([900.0, 300, 100, 30, 10, 3]))
    found = strongest(signals, 3, device=device)
    left, values, right = np.linalg.svd(signals.values.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(found.squares, values[:3] ** 2, rtol=1e-7)
    np.testing.assert_allclose(np.abs((found.vectors * left[:, :3]).sum(axis=0)), 1, atol=1e-6)
    expected = (
        values[:3, None] * right[:3] * np.sign((found.vectors * left[:, :3]).sum(axis=0))[:, None]
    )
    np.testing.assert_allclose(found.projections, expected, atol=1e-2)


def test_weak_directions_are_found_in_float64() -> None:
    signals = _low_rank(700, 900, np.concatenate([[1e6, 1e6], np.geomspace(30, 3, 20)]))
    values = np.linalg.svd(signals.values.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(strongest(signals, 8).squares, values[:8] ** 2, rtol=1e-3)


def test_a_spectrum_without_a_gap_loses_little_variance() -> None:
    signals = _low_rank(700, 800, np.arange(1, 501) ** -0.5)
    values = np.linalg.svd(signals.values.astype(np.float64), compute_uv=False)
    assert strongest(signals, 10).squares.sum() > 0.995 * (values[:10] ** 2).sum()


@pytest.mark.parametrize("n_rows", [60, 700])
def test_the_rank_is_told(n_rows: int) -> None:
    signals = _low_rank(n_rows, 900, np.arange(1.0, 6))
    with pytest.raises(UserError, match=r"^8 components of signals of rank 5; ask for at most 5$"):
        strongest(signals, 8)


def test_samples_are_reduced_to_their_singular_vectors() -> None:
    signals = planted(units=300, members=30, groups=3, tokens=40, samples=3).signals()
    [whole] = [block for _, block in signals.blocks()]
    for scaled in (False, True):
        [(_, rows)] = reduce_samples(signals, 3, scaled).blocks()
        for number, sample in enumerate(np.split(whole, 3)):
            _, values, right = np.linalg.svd(sample, full_matrices=False)
            own = rows[3 * number : 3 * number + 3]
            lengths = np.ones(3) if scaled else values[:3]
            np.testing.assert_allclose(np.linalg.norm(own, axis=1), lengths, rtol=1e-9)
            np.testing.assert_allclose(np.abs((own * right[:3]).sum(axis=1)), lengths, rtol=1e-6)


def test_a_sample_with_few_tokens_gives_as_many_rows() -> None:
    rng = np.random.default_rng(0)
    signals = Signals.of(rng.normal(size=(12, 90)).astype(np.float32), "none", [2, 10])
    assert reduce_samples(signals, 5, scaled=True).shape == (7, 90)


@devices
def test_whitened_rows_are_uncorrelated(device: str | None) -> None:
    rng = np.random.default_rng(0)
    features = np.geomspace(1, 1e9, 12)[:, None] * rng.normal(size=(12, 400)) + 5
    span = features - features.mean(axis=1, keepdims=True)
    whitened = whiten(features.copy(), device)
    np.testing.assert_allclose(np.cov(whitened, ddof=0), np.eye(12), atol=1e-12)
    # The same rows, combined.
    combined = np.linalg.lstsq(span.T / np.linalg.norm(span, axis=1), whitened.T, rcond=None)
    np.testing.assert_allclose(combined[1], 0, atol=1e-12)


def test_rows_that_are_nearly_alike_are_whitened_too() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 400))
    whitened = whiten(np.stack([first, first + 1e-5 * second]))
    np.testing.assert_allclose(np.cov(whitened, ddof=0), np.eye(2), atol=1e-10)


def test_features_that_depend_on_each_other_are_refused() -> None:
    features = np.random.default_rng(0).normal(size=(4, 50))
    with pytest.raises(UserError, match="5 components of signals of rank 4"):
        whiten(np.concatenate([features, features[:1] + features[1:2]]))


def test_the_check_fires_when_a_row_is_lost() -> None:
    whitened = whiten(np.random.default_rng(0).normal(size=(5, 100)))
    check_white(whitened)
    whitened[3] = 0
    with pytest.raises(
        UserError, match=r"whitening failed: component 3 has covariances off by 1\.0"
    ):
        check_white(whitened)
    whitened[3] = np.nan
    with pytest.raises(UserError, match="whitening failed"):
        check_white(whitened)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("seed", range(12))
def test_orthonormal_components_are_not_lost(seed: int, order: str) -> None:
    """Where the sign of a zero makes scikit-learn lose rows: principal components."""
    data = planted(seed, units=1000, members=50, tokens=60, samples=1)
    components = np.linalg.svd(data.values.astype(np.float64), full_matrices=False)[2][:8]
    whitened = whiten(np.array(components, order=order))
    np.testing.assert_allclose(whitened @ whitened.T / 1000, np.eye(8), atol=1e-8)
