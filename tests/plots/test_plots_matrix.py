"""The heat map shows the matrix, its neurons by community and strength, from -1 to 1."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from probe.config import FiguresConfig, MeasuresConfig
from probe.measures import Measures, measure, strengths
from probe.plots import heatmap
from probe.plots.matrix import neuron_order
from probe.plots.pixels import SIDE, shown
from probe.plots.style import COLOURS, GREY
from tests.plots.drawn import make, pixels, undefine
from tests.topologies import random_correlations, topology_of

pytestmark = pytest.mark.filterwarnings("error")


def measured(communities: list[int], modularity_null: float | None = 0.2) -> Measures:
    found = measure(make(len(communities)), MeasuresConfig(rewired=0))
    graph = replace(found.graphs[0], modularity=0.314, modularity_null=modularity_null)
    return replace(found, communities=communities, graphs=[graph])


def strip(axes: Axes) -> list[tuple[float, float, str]]:
    """Return the coloured pieces beside a heat map: where, how long, which colour."""
    (side,) = axes.child_axes
    return [(bar.get_y(), bar.get_height(), to_hex(bar.get_facecolor())) for bar in side.patches]


def test_colours_end_at_a_percentile_and_arrows_say_that_values_lie_beyond() -> None:
    topology = topology_of(random_correlations(40, 3))
    off = topology.matrix[~np.eye(40, dtype=bool)]
    end = np.percentile(np.abs(off.astype(np.float64)), 99)
    figure = heatmap(topology)
    (image,) = figure.axes[0].images
    assert image.get_clim() == pytest.approx((-end, end))
    bar = image.colorbar
    assert (bar.vmin, bar.vmax) == pytest.approx((-end, end))
    assert (
        bar.extend
        == {(True, True): "both", (False, True): "max", (True, False): "min"}[
            bool(off.min() < -end), bool(off.max() > end)
        ]
    )
    assert bar.ax in figure.axes
    assert bar.ax.get_ylabel() == (
        "correlation r (dimensionless)\ncolours end at percentile 99 of |r| as drawn"
    )


@pytest.mark.parametrize("r", [0.0, 0.5, -0.5])
def test_colours_that_reach_the_largest_value_have_no_arrow(r: float) -> None:
    matrix_ = np.full((4, 4), r) + (1 - r) * np.eye(4)
    (image,) = heatmap(topology_of(matrix_)).axes[0].images
    assert image.get_clim() == ((-abs(r), abs(r)) if r else (-1, 1))
    assert image.colorbar.extend == "neither"
    assert image.colorbar.ax.get_ylabel() == "correlation r (dimensionless)"


def test_no_correlation_is_the_middle_of_the_colours_and_nothing_is_grey() -> None:
    (image,) = heatmap(make()).axes[0].images
    low, none, high = image.cmap(image.norm([-1.0, 0.0, 1.0]))
    assert min(none[:3]) > 0.9, "0 is pale"
    assert high[0] > high[2], "positive is red"
    assert low[2] > low[0], "negative is blue"
    red, green, blue, _ = image.cmap(np.ma.masked)
    assert red == green == blue < 0.8, "what is not there is not the colour of 0"


def test_without_communities_the_order_is_by_strength_and_the_diagonal_blank() -> None:
    topology = make()
    order = sorted(range(10), key=lambda neuron: -strengths(topology)[neuron])
    expected = topology.matrix.astype(np.float64)[order][:, order]
    np.fill_diagonal(expected, np.nan)
    axes = heatmap(topology).axes[0]
    np.testing.assert_array_equal(pixels(axes), expected)
    assert order != list(range(10)), "the test needs another order than the model's"
    assert axes.get_xlabel() == axes.get_ylabel() == "neuron, by rank of strength"
    assert not axes.child_axes
    assert not axes.lines


def test_neurons_stand_by_community_and_by_strength_within() -> None:
    topology = make()
    communities = [1, 0, 0, 1, 0, 2, 0, 1, 2, 0]
    strength = strengths(topology)
    order = sorted(range(10), key=lambda neuron: (communities[neuron], -strength[neuron]))
    expected = topology.matrix.astype(np.float64)[order][:, order]
    np.fill_diagonal(expected, np.nan)
    axes = heatmap(topology, measured(communities)).axes[0]
    np.testing.assert_array_equal(pixels(axes), expected)


def test_undefined_neurons_stand_behind_defined_ones_without_any_correlation() -> None:
    topology = undefine(topology_of(np.eye(3)), 0)
    assert neuron_order(topology, [-1, 0, 0]).tolist() == [1, 2, 0]


def test_communities_are_bounded_coloured_and_numbered() -> None:
    axes = heatmap(make(), measured([1, 0, 0, 1, 0, 2, 0, 1, 2, 0])).axes[0]
    across = [line.get_ydata()[0] for line in axes.lines if line.get_ydata()[0] > 1]
    down = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] > 1]
    assert across == down == [5, 8]
    assert strip(axes)[1:] == [
        (0, 5, COLOURS[0].lower()),
        (5, 3, COLOURS[1].lower()),
        (8, 2, COLOURS[2].lower()),
    ]
    written = [(text.get_text(), text.get_position()[1]) for text in axes.child_axes[0].texts]
    assert written == [("0", 2.5), ("1", 6.5), ("2", 9)]
    assert axes.child_axes[0].get_ylim() == axes.get_ylim() == (10, 0)
    assert axes.get_xlabel() == (
        "neuron, by community and strength\n"
        "communities at density 0.1, modularity 0.31 (rewired 0.20)"
    )


def test_small_communities_and_neurons_of_none_come_last_and_are_grey() -> None:
    topology = undefine(make(), 0, 4)
    communities = [-1, 0, 0, 1, -1, 0, 0, 2, 0, 0]
    axes = heatmap(topology, measured(communities, modularity_null=None)).axes[0]
    shown = pixels(axes)
    assert np.isnan(shown[8:]).all()
    assert np.isnan(shown[:, 8:]).all()
    assert np.isfinite(shown[:8, :8][~np.eye(8, dtype=bool)]).all()
    grey = f"#{round(float(GREY) * 255):02x}" + 2 * f"{round(float(GREY) * 255):02x}"
    assert strip(axes) == [(0, 10, grey), (0, 6, COLOURS[0].lower())]
    assert [text.get_text() for text in axes.child_axes[0].texts] == ["0"]
    assert axes.get_xlabel().endswith("modularity 0.31; grey: smaller ones")


def test_more_communities_than_colours_begin_anew() -> None:
    n = len(COLOURS) + 1
    matrix_ = np.eye(2 * n)
    axes = heatmap(topology_of(matrix_), measured(sorted([*range(n)] * 2))).axes[0]
    colours = [colour for _, _, colour in strip(axes)[1:]]
    assert colours == [colour.lower() for colour in (*COLOURS, COLOURS[0])]


@pytest.mark.parametrize(("n", "side"), [(10, 4), (10, 7), (10, 10), (10, 16), (7, 20)])
def test_pixels_of_a_larger_matrix_are_means_weighted_by_area(n: int, side: int) -> None:
    """Against means of n × n equal squares per pixel, and side × side per entry."""
    topology = undefine(make(n), 2)
    order = neuron_order(topology)
    entries = topology.matrix.astype(np.float64)[order][:, order]
    np.fill_diagonal(entries, np.nan)
    gone = list(order).index(2)
    entries[gone], entries[:, gone] = np.nan, np.nan
    fine = np.kron(entries, np.ones((side, side))).reshape(side, n, side, n)
    count = np.isfinite(fine).sum(axis=(1, 3))
    expected = np.nansum(fine, axis=(1, 3)) / np.where(count, count, np.nan)
    np.testing.assert_allclose(shown(topology, order, side), expected, atol=1e-6)


@pytest.mark.parametrize(("dpi", "side", "each"), [(50, 200, "2.5 × 2.5"), (60, 240, "2.1 × 2.1")])
def test_a_heat_map_of_more_neurons_than_pixels_says_so(dpi: int, side: int, each: str) -> None:
    topology = topology_of(random_correlations(500, 0))
    axes = heatmap(topology, look=FiguresConfig(dpi=dpi)).axes[0]
    assert pixels(axes).shape == (side, side)
    assert axes.get_xlabel().endswith(f"(a pixel is a mean over {each})")
    assert axes.get_xlim() == (0, 500), "the axis counts neurons, not pixels"
    end = np.nanpercentile(np.abs(pixels(axes)), 99)
    assert axes.images[0].get_clim() == pytest.approx((-end, end))


def test_a_limit_that_is_given_is_that_of_the_colours_and_is_told() -> None:
    topology = topology_of(random_correlations(30, 0))
    for given, ends in ((0.01, "\ncolours end at |r| = 0.01"), (1.0, "")):
        (image,) = heatmap(topology, look=FiguresConfig(max_r=given)).axes[0].images
        assert image.get_clim() == (-given, given)
        assert image.colorbar.ax.get_ylabel() == f"correlation r (dimensionless){ends}"


def test_a_small_heat_map_is_the_matrix_itself() -> None:
    axes = heatmap(make()).axes[0]
    assert pixels(axes).shape == (10, 10)
    assert "mean" not in axes.get_xlabel()


def test_every_pixel_of_a_heat_map_is_one_of_the_figure() -> None:
    figure = heatmap(topology_of(random_correlations(300, 0)))
    box = figure.axes[0].get_window_extent()
    assert pixels(figure.axes[0]).shape == (SIDE, SIDE)
    np.testing.assert_allclose([box.width, box.height], SIDE, atol=1e-6)
    np.testing.assert_allclose([box.x0, box.y0], np.round([box.x0, box.y0]), atol=1e-6)
