"""Figures say what they show, in the same colours for everyone, and are neither shown nor saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe import plots
from probe.measures import measure, strengths
from probe.plots import figures, heatmap, histogram, strength_distribution, title
from probe.topology import Topology
from tests.topologies import topology_of


def make(n: int = 10, seed: int = 0, **changed: Any) -> Topology:
    series = np.random.default_rng(seed).standard_normal((n, 6))
    series[n // 2 :] += series[0] * np.linspace(0, 2, n - n // 2)[:, None]
    matrix = np.atleast_2d(np.corrcoef(series))
    np.fill_diagonal(matrix, 1)
    usual = {"model": "gpt2", "data": "mmlu", "subject": "psychology"}
    return topology_of(matrix, **usual | changed)


def undefine(topology: Topology, *neurons: int) -> Topology:
    matrix = topology.matrix.copy()
    matrix[list(neurons)] = 0
    matrix[:, list(neurons)] = 0
    return replace(topology, matrix=matrix, undefined=neurons)


def pixels(figure: Figure) -> NDArray[np.float64]:
    """Return what a heat map shows, NaN where it is blank."""
    (image,) = figure.axes[0].images
    return np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)


def test_there_are_three_figures_each_with_title_and_axes() -> None:
    drawn = figures(make(), measure(make()))
    assert list(drawn) == ["heatmap", "strength", "histogram"]
    for name, figure in drawn.items():
        axes = figure.axes[0]
        assert axes.get_title() == title(make()), name
        assert axes.get_xlabel(), name
        assert axes.get_ylabel(), name


def test_the_title_says_what_was_measured() -> None:
    said = title(make())
    for word in ("gpt2", "mmlu", "psychology", "layer 12", "mean", "40 examples"):
        assert word in said
    assert "weights" not in said
    assert "residual" not in said


def test_the_title_says_random_weights_site_and_part() -> None:
    said = title(make(init="random", site="mlp", name="layer_12_part2", subject=None))
    for word in ("random weights", "mlp", "part2"):
        assert word in said
    assert "None" not in said


def test_the_heat_map_has_a_colour_bar_from_minus_one_to_one() -> None:
    figure = heatmap(make())
    (image,) = figure.axes[0].images
    assert image.get_clim() == (-1, 1)
    assert (image.colorbar.vmin, image.colorbar.vmax) == (-1, 1)
    assert image.colorbar.ax in figure.axes
    assert "correlation" in image.colorbar.ax.get_ylabel()


def test_no_correlation_is_the_middle_of_the_colours() -> None:
    (image,) = heatmap(make()).axes[0].images
    low, none, high = image.cmap(image.norm([-1.0, 0.0, 1.0]))
    assert min(none[:3]) > 0.9, "0 is pale"
    assert high[0] > high[2], "positive is red"
    assert low[2] > low[0], "negative is blue"


def test_the_heat_map_orders_by_strength_and_leaves_the_diagonal_blank() -> None:
    topology = make()
    order = sorted(range(10), key=lambda neuron: -strengths(topology)[neuron])
    expected = topology.matrix.astype(np.float64)[order][:, order]
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_array_equal(pixels(heatmap(topology)), expected)
    assert order != list(range(10)), "the test needs another order than the model's"


def test_the_topology_is_not_changed_by_drawing_it() -> None:
    topology = make()
    before = topology.matrix.copy()
    figures(topology, measure(topology))
    np.testing.assert_array_equal(topology.matrix, before)


def test_a_large_heat_map_shows_means_of_blocks_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plots, "MOST_NODES", 4)
    topology = make()
    order = np.argsort(-strengths(topology))
    sorted_matrix = topology.matrix.astype(np.float64)[order][:, order]
    np.fill_diagonal(sorted_matrix, np.nan)
    starts = [0, 3, 6, 9]
    expected = np.full((4, 4), np.nan)
    for row, i in enumerate(starts):
        for column, j in enumerate(starts):
            block = sorted_matrix[i : i + 3, j : j + 3]
            if not np.isnan(block).all():
                expected[row, column] = np.nanmean(block)
    figure = heatmap(topology)
    np.testing.assert_allclose(pixels(figure), expected, atol=1e-6)
    assert np.isnan(pixels(figure)[3, 3]), "a block of diagonal only is blank"
    assert "means of blocks of 3 by 3" in figure.axes[0].get_xlabel()
    assert figure.axes[0].get_xlim() == (0, 10), "the axis counts neurons, not blocks"


def test_a_heat_map_that_fits_is_not_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST_NODES", 10)
    figure = heatmap(make())
    assert pixels(figure).shape == (10, 10)
    assert "means" not in figure.axes[0].get_xlabel()


def test_the_strength_curve_falls_from_the_strongest_defined_neuron() -> None:
    topology = undefine(make(), 2, 7)
    figure = strength_distribution(topology, measure(topology))
    curve, mean = figure.axes[0].lines
    expected = sorted((s for i, s in enumerate(strengths(topology)) if i not in (2, 7)))[::-1]
    np.testing.assert_allclose(curve.get_ydata(), expected)
    np.testing.assert_array_equal(curve.get_xdata(), np.arange(1, 9))
    assert set(mean.get_ydata()) == {measure(topology).strength_mean}
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    hubs = [str(neuron) for neuron, _ in measure(topology).hubs[:5]]
    assert f"hubs: {', '.join(hubs)}" in said
    assert f"mean {measure(topology).strength_mean:.1f}" in said


def test_the_histogram_counts_every_pair_of_defined_neurons_once() -> None:
    topology = undefine(make(), 3)
    figure = histogram(topology, measure(topology))
    axes = figure.axes[0]
    counts = np.array([bar.get_height() for bar in axes.patches])
    pairs = [topology.matrix[i, j] for i in range(10) for j in range(i) if 3 not in (i, j)]
    wanted, _ = np.histogram(pairs, bins=np.linspace(-1, 1, 201))
    np.testing.assert_array_equal(counts, wanted)
    assert counts.sum() == 9 * 8 / 2
    assert axes.get_xlim() == (-1, 1)
    assert axes.get_yscale() == "log"
    said = " ".join(text.get_text() for text in axes.texts)
    assert f"mean |r| {measure(topology).mean_abs_r:.3f}" in said


def test_figures_are_neither_shown_nor_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a figure was shown or saved")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Figure, "savefig", forbidden)
    monkeypatch.setattr(Figure, "show", forbidden)
    monkeypatch.setattr(plt, "show", forbidden)
    figures(make(), measure(make()))
    assert plt.get_fignums() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "topology",
    [
        pytest.param(make(2, matrix=np.eye(2, dtype=np.float32)), id="independent"),
        pytest.param(undefine(make(3), 0, 1, 2), id="all undefined"),
        pytest.param(make(1, matrix=np.ones((1, 1), dtype=np.float32)), id="one neuron"),
    ],
)
def test_degenerate_topologies_are_drawn_without_a_warning(topology: Topology) -> None:
    for figure in figures(topology, measure(topology)).values():
        figure.draw_without_rendering()
