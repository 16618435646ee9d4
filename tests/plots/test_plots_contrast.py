"""Topologies side by side share their scales and show chance levels."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from probe.config import FiguresConfig
from probe.measures import strengths
from probe.plots import comparison, side_by_side
from probe.topology import Topology
from probe.topology.reliability import BINS
from tests.plots.drawn import known, make, maps, null, pixels, undefine
from tests.topologies import topology_of

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")


def pair() -> list[Topology]:
    shifted = known(null=null(np.zeros(200, dtype=np.int64)))
    random = undefine(make(8, seed=1, init="random", reliability=shifted), 2)
    return [make(10, reliability=known()), random]


def test_every_heat_map_has_its_own_order_and_the_same_limits() -> None:
    topologies = pair()
    figure = side_by_side(topologies, ["trained", "untrained"], "1 of 3 pairs")
    seen: list[NDArray[np.float64]] = []
    for axes, topology, label in zip(
        figure.axes, topologies, ("trained", "untrained"), strict=False
    ):
        order = np.argsort(-strengths(topology), kind="stable")
        expected = topology.matrix.astype(np.float64)[np.ix_(order, order)]
        np.fill_diagonal(expected, np.nan)
        gone = [list(order).index(neuron) for neuron in topology.undefined]
        expected[gone], expected[:, gone] = np.nan, np.nan
        np.testing.assert_array_equal(pixels(axes), expected)
        seen.append(expected[np.isfinite(expected)])
        assert axes.images[0].norm.vmin == -axes.images[0].norm.vmax
        r = [topology.matrix[i, j] for i in range(len(order)) for j in range(i)
             if not {i, j} & {*topology.undefined}]  # fmt: skip
        assert axes.get_title().split("\n")[:2] == [label, f"mean |r| {np.mean(np.abs(r)):.3f}"]
    assert figure.axes[0].get_title().endswith("(white noise 0.080)")
    assert figure.axes[1].get_title().endswith("(white noise 0.080, shifted 0.071)")
    end = np.percentile(np.abs(np.concatenate(seen)), 99)
    assert [axes.images[0].norm.vmax for axes in maps(figure)] == pytest.approx([end, end])
    assert figure.get_suptitle().replace("\n", " ") == (
        "gpt2 on mmlu psychology: layer 12, residual (mean, 40 examples); 1 of 3 pairs"
    )
    assert "correlation r (dimensionless)\ncolours end at percentile 99 of |r| as drawn" in [
        axes.get_ylabel() for axes in figure.axes
    ]


def test_histograms_are_shares_of_the_pairs() -> None:
    topologies = pair()
    below = side_by_side(topologies, ["trained", "untrained"]).axes[2]
    steps = [patch for patch in below.patches if isinstance(patch, StepPatch)]
    for step, topology in zip(steps, topologies, strict=True):
        n, gone = topology.n_neurons, {*topology.undefined}
        r = [topology.matrix[i, j] for i in range(n) for j in range(i) if not {i, j} & gone]
        shares, edges, _ = step.get_data()
        np.testing.assert_allclose(shares, np.histogram(r, bins=BINS)[0] / len(r))
        np.testing.assert_array_equal(edges, BINS)
        assert shares.sum() == pytest.approx(1)
    names = [text.get_text() for text in below.get_legend().get_texts()]
    assert names == ["trained", "untrained"]
    assert len({step.get_edgecolor() for step in steps}) == 2, "each has its colour"
    assert steps[0].get_edgecolor() != steps[1].get_edgecolor()
    assert below.get_ylabel() == "share of pairs of neurons"
    assert below.get_yscale() == "log"


@pytest.mark.parametrize("n", [1, 3])
def test_any_few_topologies_are_drawn(n: int) -> None:
    figure = side_by_side([make()] * n, [f"number {i}\nof {n}" for i in range(n)])
    figure.draw_without_rendering()
    assert len(maps(figure)) == n
    side_by_side([topology_of([[1.0]])] * n, ["alone"] * n).draw_without_rendering()


def test_pairs_stand_above_each_other_in_one_colour_with_dashes_of_their_own() -> None:
    labels = [f"{init}, layer {k}" for k in range(3) for init in ("pretrained", "random")]
    look = FiguresConfig(max_r=0.5)
    figure = side_by_side([*pair(), *pair(), *pair()], labels, "3 of 3 pairs", 2, look)
    places = [axes.get_subplotspec() for axes in maps(figure)]
    assert [(one.rowspan.start, one.colspan.start) for one in places] == [
        (row, column) for column in range(3) for row in range(2)
    ]
    assert [axes.get_title().split("\n")[0] for axes in maps(figure)] == labels
    assert {axes.images[0].get_clim() for axes in maps(figure)} == {(-0.5, 0.5)}
    (below,) = [axes for axes in figure.axes if axes.get_legend()]
    steps = [patch for patch in below.patches if isinstance(patch, StepPatch)]
    styles = [(step.get_edgecolor(), step.get_linestyle()) for step in steps]
    assert len(set(styles)) == 6
    assert all(
        first[0] == second[0] for first, second in zip(styles[::2], styles[1::2], strict=True)
    )
    assert figure.get_suptitle().endswith("3 of 3 pairs")


def drawn(figure: Figure) -> list[np.ndarray]:
    return [pixels(axes) for axes in maps(figure)]


def test_the_comparison_shows_both_matrices_and_chance() -> None:
    correlations = [[1, -0.25, None], [-0.25, 1, 0.5], [None, 0.5, 1]]
    overlaps = np.array([[NAN, 0.1, 0.9], [0.1, NAN, 0.3], [0.9, 0.3, NAN]])
    figure = comparison(["a", "bb", "high_school"], correlations, overlaps, 0.056, "gpt2 on mmlu")
    assert figure.get_suptitle() == "gpt2 on mmlu; similarity of 3 topologies"
    left, right = drawn(figure)
    np.testing.assert_array_equal(left, [[1, -0.25, NAN], [-0.25, 1, 0.5], [NAN, 0.5, 1]])
    np.testing.assert_array_equal(right, overlaps)
    assert [axes.images[0].get_clim() for axes in maps(figure)] == [(-1, 1), (0, 1)]
    for axes in maps(figure):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "bb", "high_school"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "bb", "high_school"]
    labels = [axes.images[0].colorbar.ax.get_ylabel() for axes in maps(figure)]
    assert labels == [
        "correlation r of entries (dimensionless)",
        "share of hubs in common; by chance 0.056",
    ]
    written = [text.get_text() for text in maps(figure)[0].texts]
    assert written == ["1.00", "-0.25", "-0.25", "1.00", "0.50", "0.50", "1.00"]


def test_values_are_written_dark_on_light_and_light_on_dark() -> None:
    figure = comparison(["a", "b"], [[0.0, -1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], 0.1)
    colours = [[text.get_color() for text in axes.texts] for axes in maps(figure)]
    assert colours == [["black", "white", "white", "black"], ["white", "black", "black", "white"]]


def test_nothing_to_compare_and_no_chance_are_drawn_grey() -> None:
    figure = comparison(["a", "b"], [[NAN, NAN]] * 2, [[None, None]] * 2, NAN)
    figure.draw_without_rendering()
    assert np.isnan(drawn(figure)).all()
    assert maps(figure)[1].images[0].colorbar.ax.get_ylabel() == "share of hubs in common"


def test_a_comparison_of_many_names_some_and_writes_no_values() -> None:
    k = 57
    figure = comparison([f"subject_{i}" for i in range(k)], np.eye(k), np.eye(k), 0.1)
    figure.draw_without_rendering()
    for axes in maps(figure):
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            f"subject_{i}" for i in range(0, k, 3)
        ]
        assert not axes.texts
