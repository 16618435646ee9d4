"""The spectrum agrees with eigenvalues that are known, and with its definition."""

import numpy as np
import pytest

from probe.measures import Spectrum
from tests.topologies import random_correlations


def correlations(n: int, seed: int, series: int = 6) -> np.ndarray:
    return np.asarray(random_correlations(n, seed, series), dtype=np.float32)


def entropy_rank(values: np.ndarray) -> float:
    shares = [value / values[values > 0].sum() for value in values if value > 0]
    return float(np.prod([share**-share for share in shares]))


def test_eigenvalues_are_all_there_and_descend() -> None:
    matrix = correlations(20, seed=1, series=40)
    found = Spectrum.of(matrix)
    expected = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-9)
    assert found.leading_share == pytest.approx(expected[0] / 20)
    assert found.effective_rank == pytest.approx(entropy_rank(expected))
    assert found.negative_mass == 0


def test_equal_correlations_have_one_large_eigenvalue() -> None:
    r, n = 0.25, 9
    matrix = np.full((n, n), r, dtype=np.float32)
    np.fill_diagonal(matrix, 1)
    found = Spectrum.of(matrix)
    np.testing.assert_allclose(found.eigenvalues, [1 + (n - 1) * r] + [1 - r] * (n - 1))
    assert found.leading_share == pytest.approx((1 + (n - 1) * r) / n)


def test_independent_neurons_have_full_rank_and_identical_ones_rank_one() -> None:
    assert Spectrum.of(np.eye(7, dtype=np.float32)).effective_rank == pytest.approx(7)
    same = Spectrum.of(np.ones((7, 7), dtype=np.float32))
    assert same.effective_rank == pytest.approx(1, abs=1e-6)
    assert same.leading_share == pytest.approx(1)


def test_a_matrix_that_no_series_could_have_shows_negative_mass() -> None:
    """Three neurons, each against both others: eigenvalues 1 - 2r and twice 1 + r, r = 0.9."""
    matrix = np.full((3, 3), -0.9, dtype=np.float32)
    np.fill_diagonal(matrix, 1)
    found = Spectrum.of(matrix)
    np.testing.assert_allclose(found.eigenvalues, [1.9, 1.9, -0.8], rtol=1e-6)
    assert found.negative_mass == pytest.approx(0.8 / (1.9 + 1.9 + 0.8), rel=1e-6)
    assert found.effective_rank == pytest.approx(2), "of the positive eigenvalues"


def test_of_large_matrices_only_the_leading_eigenvalues_are_found() -> None:
    matrix = correlations(150, seed=2, series=140)
    whole, leading = Spectrum.of(matrix), Spectrum.of(matrix, full=149)
    assert len(leading.eigenvalues) == 100
    np.testing.assert_allclose(leading.eigenvalues, whole.eigenvalues[:100], rtol=1e-9)
    assert leading.leading_share == pytest.approx(whole.leading_share)
    assert leading.effective_rank is None
    assert leading.negative_mass is None
    assert leading == Spectrum.of(matrix, full=149), "Lanczos begins the same way every time"


@pytest.mark.filterwarnings("error")
def test_none_and_one_neuron_have_a_spectrum() -> None:
    assert Spectrum.of(np.zeros((0, 0), dtype=np.float32)) == Spectrum([], 0, 0, 0)
    assert Spectrum.of(np.ones((1, 1), dtype=np.float32)) == Spectrum([1], 1, 1, 0)
