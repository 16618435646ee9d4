"""The analysis is the published one on the same weights, and gives its figures for random ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.published_multifractal import Block, published, random_blocks
from experiments.multifractal.boxes import Rules
from experiments.multifractal.modes import MODES
from experiments.multifractal.network import Network
from experiments.multifractal.published import (
    published_links,
    published_neurons,
    published_sizes,
)
from tests.experiments.multifractal.planted_graphs import initialised


def network_of(blocks: list[Block], size: int, seed: int) -> Network:
    neurons = published_neurons(len(blocks), len(blocks[0].dense), size, seed)
    links = [
        link
        for number, block in enumerate(blocks)
        for link in published_links(number, neurons, *block)
    ]
    return Network(published_sizes(len(blocks), size), tuple(links))


@pytest.mark.parametrize(
    ("size", "seed", "threshold"), [(32, 0, 150), (32, 7, 150), (64, 1, 100), (24, 3, 200)]
)
def test_numbers_are_the_published_ones(
    size: int, seed: int, threshold: float, tmp_path: Path
) -> None:
    blocks = random_blocks(2, 96, (0.0228, 0.006), seed=seed)
    blocks[0].dense[:20] = 0  # no edges
    expected = published(blocks, size, seed, tmp_path, threshold)
    found = MODES["public"].analyse(network_of(blocks, size, seed), Rules(most=threshold))
    np.testing.assert_allclose(found.scaling.tau, expected.tau, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.spectrum.alpha, expected.alpha, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.spectrum.f, expected.f, rtol=0, atol=1e-11)
    assert found.spectrum.width == pytest.approx(expected.width, abs=1e-12)
    tied = found.spectrum.f > found.spectrum.f.max() - 1e-11  # rounding chooses one of them
    assert np.abs(found.spectrum.alpha[tied] - expected.alpha0).min() < 1e-11
    assert found.spectrum.alpha0_public in found.spectrum.alpha[tied]
    again = MODES["public"].analyse(network_of(blocks, size, seed), Rules(most=threshold))
    assert np.array_equal(again.scaling.tau, found.scaling.tau)


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
