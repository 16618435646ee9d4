"""Figures say what they show, and are neither shown nor saved."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from probe.config import MeasuresConfig
from probe.measures import measure
from probe.plots import figures, run_figures, title
from probe.topology import Topology
from tests.plots.drawn import at_layer, known, make, undefine

pytestmark = pytest.mark.filterwarnings("error")
FEW = MeasuresConfig(rewired=0)


def test_there_are_four_figures_each_with_title_and_axes() -> None:
    drawn = figures(make(), measure(make(), FEW))
    assert list(drawn) == ["heatmap", "strength", "histogram", "spectrum"]
    for name, figure in drawn.items():
        axes = figure.axes[0]
        assert axes.get_title().replace("\n", " ") == title(make()), name
        assert axes.get_xlabel(), name
        assert axes.get_ylabel(), name


def test_the_title_says_what_was_measured() -> None:
    assert title(make()) == (
        "gpt2 (pretrained) on mmlu psychology: layer 12, residual (mean, 40 examples)"
    )


def test_the_title_says_random_weights_site_part_and_weights() -> None:
    other = make(init="random", site="mlp", name="layer_12_part2", subject=None, weight="token")
    assert title(other) == (
        "gpt2 (random) on mmlu: layer 12 part2, mlp (mean by token, 40 examples)"
    )
    ranked = make(correlation="spearman", weight="token")
    assert title(ranked).endswith("residual (mean of Spearman's r by token, 40 examples)")
    assert title(make(subject="all")).startswith("gpt2 (pretrained) on mmlu: ")


def test_a_title_of_several_leaves_out_where_they_differ() -> None:
    assert title(make(), make(init="random", name="layer_3")) == (
        "gpt2 on mmlu psychology: residual (mean, 40 examples)"
    )
    assert title(make(), make(model="tiny", data="words", subject=None, init="random")) == (
        "layer 12, residual (mean, 40 examples)"
    )
    assert title(make(), make(scheme="fisher", examples=3)) == (
        "gpt2 (pretrained) on mmlu psychology: layer 12, residual"
    )


def test_a_long_title_breaks_where_its_second_half_begins() -> None:
    topology = make(model="a-model-of-a-long-name", subject="high_school_macroeconomics")
    first, second = (
        figures(topology, measure(topology, FEW))["heatmap"].axes[0].get_title().split("\n")
    )
    assert first.endswith("on mmlu high_school_macroeconomics:")
    assert second == "layer 12, residual (mean, 40 examples)"


def test_the_topology_is_not_changed_by_drawing_it() -> None:
    topology = undefine(make(), 3)
    before = topology.matrix.copy()
    figures(topology, measure(topology, FEW))
    np.testing.assert_array_equal(topology.matrix, before)


def test_figures_are_neither_shown_nor_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a figure was shown or saved")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Figure, "savefig", forbidden)
    monkeypatch.setattr(Figure, "show", forbidden)
    monkeypatch.setattr(plt, "show", forbidden)
    measured = [(each, measure(each, FEW)) for each in (at_layer(0), at_layer(1))]
    figures(*measured[0])
    run_figures(measured)
    assert plt.get_fignums() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "topology",
    [
        pytest.param(make(2, matrix=np.eye(2, dtype=np.float32)), id="independent"),
        pytest.param(undefine(make(3), 0, 1, 2), id="all undefined"),
        pytest.param(make(1, matrix=np.ones((1, 1), dtype=np.float32)), id="one neuron"),
        pytest.param(make(4, matrix=np.ones((4, 4), dtype=np.float32)), id="all one"),
    ],
)
def test_degenerate_topologies_are_drawn_without_a_warning(topology: Topology) -> None:
    figures(topology, measure(topology, FEW))
    each = replace(topology, reliability=known(split_half=None))
    for figure in figures(each, measure(each, FEW)).values():
        figure.draw_without_rendering()


@pytest.mark.usefixtures("drawn_figures")
def test_a_figure_becomes_a_png() -> None:
    figure = figures(make(), measure(make(), FEW))["heatmap"]
    figure.savefig(stream := BytesIO(), format="png", dpi=30)
    assert stream.getvalue().startswith(b"\x89PNG")
