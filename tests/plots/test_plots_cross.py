"""Figures between layers: neurons in their places, borders between layers, all pairs at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probe.measures import measure
from probe.plots import figures, heatmap, pixels, run_figures, side_by_side
from probe.topology import Topology
from tests.plots.drawn import known, make
from tests.topologies import topology_of

pytestmark = pytest.mark.filterwarnings("error")
MATRIX = np.random.default_rng(1).uniform(-1, 1, (8, 8)).astype(np.float32)


def crossed(first: int = 3, second: int = 7, **changed: Any) -> Topology:
    name = f"cross_layer_{first}_{second}"
    usual = {"name": name, "layers": (first, second), "kind": "cross", "reliability": known()}
    return topology_of(MATRIX, **usual | changed)


def full(**changed: Any) -> Topology:
    return replace(make(12), **{"name": "full", "layers": (0, 2, 5), "kind": "full"} | changed)


def test_a_matrix_between_layers_is_drawn_as_it_is() -> None:
    axes = heatmap(crossed(undefined=(1, 8 + 4))).axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    expected = MATRIX.copy()
    expected[1], expected[:, 4] = np.nan, np.nan
    np.testing.assert_array_equal(drawn, expected)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("neuron of layer 3", "neuron of layer 7")


def test_layers_of_one_matrix_have_borders_and_names() -> None:
    axes = heatmap(full(), measure(full())).axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    expected = full().matrix.copy()
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_array_equal(drawn, expected)
    assert {line.get_ydata()[0] for line in axes.lines[::2]} == {4, 8}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2", "5"]
    assert axes.get_yticks().tolist() == [2, 6, 10]


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_rows_that_are_drawn_some_at_a_time_are_means_of_blocks(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_ROWS", rows)
    drawn = pixels.shown(full(), np.arange(12), 4)
    expected = full().matrix.astype(np.float64)
    np.fill_diagonal(expected, np.nan)
    expected = np.nanmean(expected.reshape(4, 3, 4, 3), axis=(1, 3))
    np.testing.assert_allclose(drawn, expected, atol=1e-6)


def test_undefined_rows_and_columns_of_a_pair_are_left_out_of_the_means() -> None:
    drawn = pixels.shown(crossed(undefined=(1, 8 + 4, 8 + 5)), np.arange(8), 4)
    expected = MATRIX.astype(np.float64)
    expected[1], expected[:, 4:6] = np.nan, np.nan
    blocks = expected.reshape(4, 2, 4, 2)
    count = np.isfinite(blocks).sum(axis=(1, 3))
    means = np.nansum(blocks, axis=(1, 3)) / np.where(count, count, np.nan)
    np.testing.assert_allclose(drawn, means, atol=1e-6)


def test_a_pair_has_no_figure_of_strengths_or_eigenvalues() -> None:
    assert set(figures(crossed(), measure(crossed()))) == {"heatmap", "histogram"}
    assert set(figures(full(), measure(full()))) >= {"heatmap", "strength", "spectrum"}


def test_all_pairs_are_drawn_layer_by_layer() -> None:
    pairs = [(0, 2), (0, 5), (2, 5)]
    topologies = [
        crossed(i, j, matrix=MATRIX * (1 + i + j) / 10, part=part, parts=2)
        for i, j in pairs
        for part in (1, 2)
    ]
    measured = [(topology, measure(topology)) for topology in topologies]
    drawn = run_figures(measured)
    assert list(drawn) == ["heatmaps", "cross_layers"]
    axes, bar = drawn["cross_layers"].axes
    found = np.ma.filled(axes.images[0].get_array(), np.nan)
    mean = np.abs(MATRIX).mean()
    expected = np.array([[np.nan, 0.3, 0.6], [0.3, np.nan, 0.8], [0.6, 0.8, np.nan]]) * mean
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2", "5"]
    assert "white noise 0.080" in bar.get_ylabel()
    assert set(run_figures(measured[:2])) == {"heatmaps"}, "parts of one pair are one pair"


def test_they_stand_beside_each_other() -> None:
    for topology in (crossed(), full()):
        assert len(side_by_side([topology, topology], ["a", "b"]).axes) == 4
