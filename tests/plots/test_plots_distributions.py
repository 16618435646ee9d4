"""Strengths, correlations and eigenvalues are all drawn, against the right chance level."""

from dataclasses import replace
from itertools import pairwise
from math import erf, sqrt

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.measures import Measures, Spectrum, measure, strengths
from probe.plots import histogram, spectrum, strength_distribution
from probe.topology import Topology
from probe.topology.reliability import BINS, white_noise
from tests.plots.drawn import curve, known, make, null, texts, undefine
from tests.topologies import topology_of

pytestmark = pytest.mark.filterwarnings("error")


def measured(topology: Topology, **settings: object) -> Measures:
    return measure(topology, MeasuresConfig(**{"rewired": 0} | settings))  # type: ignore[arg-type]


def test_the_strength_curve_falls_from_the_strongest_defined_neuron() -> None:
    topology = undefine(make(), 2, 7)
    found = measured(topology, hubs=3)
    axes = strength_distribution(topology, found).axes[0]
    ranks, heights = np.asarray(axes.lines[0].get_data())
    expected = sorted((s for i, s in enumerate(strengths(topology)) if i not in (2, 7)))[::-1]
    np.testing.assert_allclose(heights, expected)
    np.testing.assert_array_equal(ranks, np.arange(1, 9))
    assert set(curve(axes, f"mean {np.mean(expected):.1f}")[1]) == {found.strength_mean}
    assert f"Gini {found.strength_gini:.3f}" in texts(axes)
    assert axes.get_ylim()[0] == 0


def test_hubs_are_marked_and_the_first_five_named() -> None:
    topology = make()
    order = sorted(range(10), key=lambda neuron: -strengths(topology)[neuron])
    for h, named in ((3, order[:3]), (7, order[:5])):
        axes = strength_distribution(topology, measured(topology, hubs=h)).axes[0]
        label = f"{h} hubs: {', '.join(map(str, named))}{' …' if h > 5 else ''}"
        ranks, heights = curve(axes, label)
        assert ranks == list(range(1, h + 1))
        np.testing.assert_allclose(heights, strengths(topology)[order[:h]])


def test_the_strength_of_white_noise_is_that_of_all_others_together() -> None:
    topology = undefine(make(reliability=known(noise=0.04)), 2)
    axes = strength_distribution(topology, measured(topology)).axes[0]
    expected = 8 * np.sqrt(2 / np.pi) * 0.2
    assert curve(axes, f"white noise {expected:.1f}")[1] == pytest.approx([expected] * 2)
    bare = strength_distribution(make(), measured(make())).axes[0]
    assert "noise" not in texts(bare)


def bars(axes: Axes) -> NDArray[np.float64]:
    (steps,) = (each for each in axes.patches if each.get_label() == "observed")
    assert isinstance(steps, StepPatch)
    assert np.array_equal(steps.get_data().edges, BINS)
    return np.asarray(steps.get_data().values)


def test_the_histogram_counts_every_pair_of_defined_neurons_once() -> None:
    topology = undefine(make(), 3)
    axes = histogram(topology, measured(topology)).axes[0]
    pairs = [topology.matrix[i, j] for i in range(10) for j in range(i) if 3 not in (i, j)]
    wanted, _ = np.histogram(pairs, bins=np.linspace(-1, 1, 201))
    np.testing.assert_array_equal(bars(axes), wanted)
    assert bars(axes).sum() == 9 * 8 / 2
    assert axes.get_xlim() == (-1, 1)
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1, "a single pair is seen"
    assert axes.get_xlabel() == "correlation r (dimensionless)"
    assert f"mean |r| {np.mean(np.abs(pairs)):.3f}" in texts(axes)
    assert f"mean r {np.mean(pairs):+.3f}" in texts(axes)
    assert "noise" not in texts(axes)


def test_the_null_is_scaled_to_as_many_pairs() -> None:
    counts = np.zeros(200, dtype=np.int64)
    counts[[99, 100, 130]] = 30, 20, 10
    topology = make(reliability=known(null=null(counts)))
    axes = histogram(topology, measured(topology)).axes[0]
    (steps,) = (patch for patch in axes.patches if patch.get_label() != "observed")
    assert isinstance(steps, StepPatch)
    heights, edges, _ = steps.get_data()
    np.testing.assert_allclose(heights[[99, 100, 130]], [22.5, 15, 7.5])
    assert heights.sum() == pytest.approx(45) == bars(axes).sum()
    np.testing.assert_array_equal(edges, BINS)
    assert "circular-shift null (2 ×, scaled)" in texts(axes)
    assert "normal" not in texts(axes)
    assert "(white noise 0.080, shifted 0.071)" in texts(axes)
    assert "split-half r 0.900" in texts(axes)
    assert axes.get_ylim()[1] > heights.max()


def test_without_a_null_white_noise_is_drawn_as_the_normal_that_it_is() -> None:
    topology = undefine(make(reliability=known(noise=0.0225)), 3)
    axes = histogram(topology, measured(topology)).axes[0]
    centres, heights = curve(axes, "white noise, normal with SD 0.150")
    middles = (BINS[1:] + BINS[:-1]) / 2
    np.testing.assert_allclose(centres, middles)
    expected = [
        36 * (erf(high / sqrt(2) / 0.15) - erf(low / sqrt(2) / 0.15)) / 2
        for low, high in pairwise(BINS)
    ]
    np.testing.assert_allclose(heights, expected, rtol=0.02, atol=1e-6)
    assert sum(heights) == pytest.approx(36, rel=1e-3)
    assert f"(white noise {0.15 * np.sqrt(2 / np.pi):.3f})" in texts(axes)


def test_a_split_half_that_is_not_known_is_not_said() -> None:
    topology = make(reliability=known(split_half=None))
    assert "split-half" not in texts(histogram(topology, measured(topology)).axes[0])


def test_the_spectrum_is_drawn_by_rank_on_logarithmic_axes() -> None:
    topology = undefine(make(20), 4)
    found = measured(topology)
    axes = spectrum(topology, found).axes[0]
    keep = [neuron for neuron in range(20) if neuron != 4]
    values = np.linalg.eigvalsh(topology.matrix[np.ix_(keep, keep)].astype(np.float64))[::-1]
    positive = values[values > 1e-5]
    ranks, heights = np.asarray(axes.lines[0].get_data())
    np.testing.assert_allclose(heights, positive, rtol=1e-4)
    np.testing.assert_array_equal(ranks, np.arange(1, len(positive) + 1))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert f"leading share {values[0] / 19:.3f}" in texts(axes)
    share = positive / positive.sum()
    rank = np.exp(-(share * np.log(share)).sum())
    assert f"effective rank {rank:.1f} of 19" in texts(axes)
    assert f"{19 - len(positive)} are 0 up to rounding, not drawn" in texts(axes)
    assert "negative" not in texts(axes)
    assert "noise" not in texts(axes)


def test_negative_eigenvalues_are_said_and_not_drawn() -> None:
    topology = topology_of([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    axes = spectrum(topology, measured(topology)).axes[0]
    assert axes.lines[0].get_ydata() == pytest.approx([1.9, 1.9])
    assert "1 are negative (mass 0.17), not drawn" in texts(axes)
    assert "rounding" not in texts(axes)


def test_a_spectrum_of_leading_eigenvalues_says_so() -> None:
    topology = make()
    found = replace(measured(topology), spectrum=Spectrum([4.0, 3.0], 0.4, None, None))
    axes = spectrum(topology, found).axes[0]
    assert "only the 2 largest of 10 eigenvalues were computed" in texts(axes)
    assert "effective rank" not in texts(axes)


@pytest.mark.parametrize(
    ("tokens", "beyond"), [([400], 0.04), ([60] * 5, 0.04), ([40, 80, 120, 200, 60, 100], 0.08)]
)
def test_white_noise_ends_at_the_edge(tokens: list[int], beyond: float) -> None:
    rng, n = np.random.default_rng(7), 200
    every = [np.corrcoef(rng.standard_normal((n, length))) for length in tokens]
    noise = white_noise(np.array(tokens) - 1.0, np.ones(len(tokens)))
    topology = topology_of(np.mean(every, axis=0), reliability=known(noise=noise))
    axes = spectrum(topology, measured(topology, density=0.01)).axes[0]
    (edge,) = (line for line in axes.lines if "white noise" in str(line.get_label()))
    height = np.asarray(edge.get_ydata())[0]
    reached = np.linalg.eigvalsh(np.mean(every, axis=0))[-1]
    assert reached == pytest.approx(height, rel=beyond)
    assert f"upper edge of white noise {height:.2f} (Marchenko–Pastur)" in texts(axes)


def test_the_edge_is_that_of_the_defined_neurons() -> None:
    topology = undefine(make(reliability=known(noise=0.25)), 1)
    axes = spectrum(topology, measured(topology)).axes[0]
    assert "upper edge of white noise 6.25 (Marchenko–Pastur)" in texts(axes), "(1 + √(9/4))²"


def test_eigenvalues_above_white_noise_are_counted() -> None:
    topology = topology_of(np.eye(4), reliability=known(noise=0.25))
    found = replace(measured(topology), spectrum=Spectrum([4.1, 4.01, 3.99, -8.1], 0.4, 2.0, 0.4))
    assert "2 eigenvalues above white noise" in texts(spectrum(topology, found).axes[0])
