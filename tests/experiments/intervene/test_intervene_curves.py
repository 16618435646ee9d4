"""The pruning curve shows the numbers of the table where it says so."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from experiments.intervene.curves import pruning_curve
from experiments.intervene.table import Row, headline

pytestmark = pytest.mark.usefixtures("drawn_figures")

ROW = Row(
    treatment="mean", select="degree", order="highest", neurons=8, fraction=0.01, held=0.06,
    moved=0.05, measure="accuracy", untouched=0.5, treated=0.4, change=-0.1, low=-0.15, high=-0.08,
    draws_low=-0.1, draws_high=-0.1, relative=-0.2, chance=0.25, beyond=-0.09, beyond_low=-0.14,
    beyond_high=-0.05, documents=30,
)  # fmt: skip
MORE = replace(ROW, neurons=80, fraction=0.1, moved=0.3, treated=0.3, change=-0.2, low=-0.25)
RANDOM = replace(
    ROW,
    select="random",
    treated=0.49,
    change=-0.01,
    low=-0.02,
    high=0.01,
    moved=0.01,
    beyond=None,
    relative=-0.02,
)
KL = replace(
    ROW,
    measure="kl",
    untouched=0.0,
    treated=0.2,
    change=0.2,
    low=0.1,
    high=0.3,
    chance=None,
    relative=None,
)
ROWS = [ROW, MORE, RANDOM, KL, replace(KL, select="rms", treated=0.0, change=0.0)]


def curve(axes: Axes, label: str) -> ErrorbarContainer:
    [found] = [one for one in axes.containers if one.get_label() == label]
    assert isinstance(found, ErrorbarContainer)
    return found


def test_points_and_bars_are_those_of_the_table() -> None:
    figure = pruning_curve(ROWS, "said")
    assert figure.get_suptitle() == "said"
    # A row of panels for each measure and axis, a column for each selection but random ones.
    assert [axes.get_title() for axes in figure.axes[:8]] == ["degree", "RMS"] * 4
    left, rms, right, _, kl_left, kl_rms, kl_right, _ = figure.axes[:8]
    for axes, places in ((left, [0.01, 0.1]), (right, [0.05, 0.3])):
        line, _, (bars,) = curve(axes, "selected").lines
        np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), places)
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [0.4, 0.3])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[0.35, 0.42], [0.25, 0.42]])
        levels = {line.get_label(): line.get_ydata()[0] for line in axes.lines if line.get_label()}
        assert levels["untouched"] == 0.5
        assert levels["chance"] == 0.25
    assert [kl_left.get_yscale(), left.get_yscale(), kl_right.get_xscale()] == [
        "log",
        "linear",
        "log",
    ]
    # A divergence of zero has no place on a logarithmic axis.
    assert [one.get_label() for one in kl_left.containers] == ["selected"]
    assert not kl_rms.containers
    # Random neurons stand in every panel, a little aside.
    for axes in (left, rms):
        line, *_ = curve(axes, "random").lines
        np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), [0.01 / 1.08])
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [0.49])
    assert left.get_ylim() == rms.get_ylim()
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_bars_of_a_share_stay_within_0_and_1_and_so_do_axes() -> None:
    low = replace(ROW, treated=0.02, change=-0.48, low=-0.7, high=-0.4)
    high = replace(ROW, fraction=0.2, moved=0.2, treated=0.97, change=0.47, low=0.3, high=0.9)
    for axes in pruning_curve([low, high], "said").axes[:2]:
        _, _, (bars,) = curve(axes, "selected").lines
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[0, 0.1], [0.8, 1]])
        assert axes.get_ylim() == (0, 1)


def test_random_neurons_alone_have_a_panel() -> None:
    assert pruning_curve([RANDOM], "said").axes[0].get_title() == "random"


@pytest.mark.parametrize("least", [0.3, 0.02, 0.004, 0.00001])
def test_labels_of_an_axis_do_not_lie_on_each_other(least: float) -> None:
    rows = [replace(KL, moved=least, treated=least / 3), replace(KL, moved=0.8, treated=5)]
    figure = pruning_curve(rows, "said")
    figure.savefig(io.BytesIO(), format="png")
    for axis in (figure.axes[1].xaxis, figure.axes[1].yaxis):
        low, high = sorted(axis.get_view_interval())
        labels = [
            label.get_window_extent()
            for label, place in zip(
                axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True
            )
            if low <= place <= high
        ]
        assert len(labels) > 1
        assert not any(a.overlaps(b) for a, b in pairwise(labels))


def test_relative_changes_stand_beside_absolute_ones() -> None:
    right = pruning_curve(ROWS, "said").axes[1]
    [second] = right.child_axes
    assert second.get_ylabel() == "relative change, %"
    percent, value = second._functions  # type: ignore[attr-defined]
    assert percent(0.4) == pytest.approx(-20)
    assert value(-20) == pytest.approx(0.4)


def test_the_headline_tells_both_changes_chance_and_the_null() -> None:
    norm = replace(ROW, select="random_norm", beyond=-0.01, beyond_low=-0.02, beyond_high=0.01)
    lines = headline([ROW, MORE, RANDOM, norm, KL])
    columns = "treated change [95 %] beyond random [95 %] norm moved"
    assert [" ".join(line.split()) for line in lines] == [
        f"accuracy (8 treated per layer; untouched 0.5, chance level 0.25) {columns}",
        "mean, highest degree 0.4 -0.1 [-0.15, -0.08] n=30 (-20.0%) "
        "-0.09 [-0.14, -0.05] n=30 5.00%",
        "mean, random 0.49 -0.01 [-0.02, +0.01] n=30 (-2.0%) 1.00%",
        "mean, random_norm (of highest degrees) 0.4 -0.1 [-0.15, -0.08] n=30 (-20.0%) "
        "-0.01 [-0.02, +0.01] n=30 5.00%",
        f"kl (8 treated per layer; untouched 0) {columns}",
        "mean, highest degree 0.2 +0.2 [+0.1, +0.3] n=30 -0.09 [-0.14, -0.05] n=30 5.00%",
    ]
