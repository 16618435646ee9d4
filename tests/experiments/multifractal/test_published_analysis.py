"""The analysis is the published one on the same weights, and gives its figures for random ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.neox import published_layout, random_blocks, weights_of
from benchmarks.published_multifractal import published
from experiments.multifractal.boxes import Rules
from experiments.multifractal.modes import MODES
from experiments.multifractal.reading import network, neurons
from tests.experiments.multifractal.planted_graphs import initialised


@pytest.mark.parametrize(
    ("shape", "size", "seed", "threshold"),
    [
        ((2, 128), 32, 0, 150),
        ((2, 128), 32, 7, 150),
        ((2, 128), 48, 1, 100),
        ((2, 128), 24, 3, 200),
        *(pytest.param((12, 768), 64, n, 150, marks=pytest.mark.campaign) for n in range(3)),
    ],
)
def test_numbers_are_the_published_ones(
    shape: tuple[int, int], size: int, seed: int, threshold: float, tmp_path: Path
) -> None:
    blocks, layout = list(random_blocks(*shape, (0.0228, 0.006), seed)), published_layout(*shape)
    blocks[0].dense[:20] = 0  # no edges
    expected = published(blocks, size, seed, tmp_path, threshold)
    here = network(weights_of(blocks), layout, neurons(layout, size, seed))
    found = MODES["public"].analyse(here, Rules(most=threshold))
    np.testing.assert_allclose(found.scaling.tau, expected.tau, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.spectrum.alpha, expected.alpha, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.spectrum.f, expected.f, rtol=0, atol=1e-11)
    assert found.spectrum.width == pytest.approx(expected.width, abs=1e-12)
    tied = found.spectrum.f > found.spectrum.f.max() - 1e-11  # rounding chooses one of them
    assert np.abs(found.spectrum.alpha[tied] - expected.alpha0).min() < 1e-11
    assert found.spectrum.alpha0_public in found.spectrum.alpha[tied]
    assert np.array_equal(
        MODES["public"].analyse(here, Rules(most=threshold)).scaling.tau, found.scaling.tau
    )


@pytest.mark.parametrize(
    ("n_blocks", "size", "sigma", "alpha0", "alpha", "ends"),
    [
        (32, 48, (0.02, 0.02 / 64**0.5), 1.69, (1.52, 1.885), (-0.30, -0.23)),  # 6.9b
        (36, 48, (0.02, 0.02 / 72**0.5), 1.69, (1.52, 1.885), (-0.30, -0.23)),  # 12b
        (6, 128, (0.0280, 0.0147), 1.77, (1.33, 2.25), (-0.51, -0.41)),  # "One Layer", 70m
    ],
)
def test_random_weights_have_the_spectrum_of_the_published_figures(
    n_blocks: int,
    size: int,
    sigma: tuple[float, float],
    alpha0: float,
    alpha: tuple[float, float],
    ends: tuple[float, float],
) -> None:
    found = MODES["public"].analyse(initialised(n_blocks, size, *sigma, seed=0), Rules()).spectrum
    assert found.alpha0 == pytest.approx(alpha0, rel=0.03)
    assert found.alpha0_public == pytest.approx(alpha0, rel=0.03)
    assert (found.alpha.min(), found.alpha.max()) == pytest.approx(alpha, rel=0.03)
    assert (found.f[0], found.f[-1]) == pytest.approx(ends, rel=0.1)
