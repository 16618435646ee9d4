"""Figures say what they show, and are neither shown nor saved."""

from collections import Counter
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from probe.config import FigureFormat, Figures, FiguresConfig, MeasuresConfig
from probe.measures import measure
from probe.plots import figures, heatmap, run_figures, title, wanted
from probe.plots.style import framed, grid, legend_below, log_scale, mark_beyond
from probe.runs.writing import save_figure
from probe.topology import Topology
from tests.plots.drawn import at_layer, known, make, pixels, undefine
from tests.topologies import random_correlations, topology_of

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
        figures(topology, measure(topology, FEW))["strength"].axes[0].get_title().split("\n")
    )
    assert first.endswith("on mmlu high_school_macroeconomics:")
    assert second == "layer 12, residual (mean, 40 examples)"


@pytest.mark.parametrize(("matrices", "of_each"), [(1, True), (8, True), (9, False)])
def test_auto_draws_every_matrix_up_to_eight_and_sums_up_beyond(
    matrices: int, of_each: bool
) -> None:
    one = measure(at_layer(0), FEW)
    measured = [(at_layer(layer), one) for layer in range(matrices)]
    kinds = ["heatmap", "strength", "histogram", "spectrum"]
    across = ["heatmaps", "measures_by_layer", "hub_overlap"]
    each: dict[str | None, list[str]] = {f"layer_{layer}": kinds for layer in range(matrices)}
    everything = each | ({None: across} if matrices > 1 else {})
    assert wanted(Figures.all, measured) == everything
    summary = {None: across if matrices > 1 else ["heatmaps"]}
    assert wanted(Figures.summary, measured) == summary
    assert wanted(Figures.auto, measured) == (everything if of_each else summary)
    assert wanted(Figures.none, measured) == {}


def test_the_contact_sheet_has_every_heat_map_in_its_own_colours() -> None:
    measured = [(each, measure(each, FEW)) for each in map(at_layer, range(9))]
    weak = replace(measured[2][0], matrix=measured[2][0].matrix / 100)
    measured[2] = weak, measured[2][1]
    figure = run_figures(measured, ["heatmaps"])["heatmaps"]
    sheets = [axes for axes in figure.axes if axes.images]
    assert len(sheets) == 9
    for axes, (topology, found) in zip(sheets, measured, strict=True):
        alone = heatmap(topology, found).axes[0]
        np.testing.assert_array_equal(pixels(axes), pixels(alone))
        end = np.nanpercentile(np.abs(pixels(alone)), 99)
        assert axes.images[0].get_clim() == pytest.approx((-end, end))
        assert axes.get_title() == f"layer {topology.layer}  ±{end:.2g}"
    boxes = [axes.get_position() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    (heading,) = figure.texts
    assert (
        heading.get_text() == "gpt2 (pretrained) on mmlu psychology: residual (mean, 40 examples)"
    )


def test_a_limit_that_is_given_holds_for_the_whole_contact_sheet() -> None:
    measured = [(each, measure(each, FEW)) for each in map(at_layer, range(3))]
    drawn = run_figures(measured, ["heatmaps"], FiguresConfig(max_r=0.4))["heatmaps"]
    sheets = [axes for axes in drawn.axes if axes.images]
    assert [axes.images[0].get_clim() for axes in sheets] == [(-0.4, 0.4)] * 3
    assert drawn.axes[-1].get_ylabel() == "correlation r\nabove each: as given"


@pytest.mark.usefixtures("drawn_figures")
def test_dots_per_inch_change_the_pixels_and_not_the_layout(tmp_path: Path) -> None:
    sizes = []
    for dpi in (50, 100):
        figure = figures(make(), measure(make(), FEW))["strength"]
        file = save_figure(figure, tmp_path / "one.png", FiguresConfig(dpi=dpi))
        with Image.open(file) as image:
            sizes.append(image.size)
        assert figure.get_size_inches() == pytest.approx([7.2, 4.34], abs=0.3)
    np.testing.assert_allclose(sizes[1], 2 * np.array(sizes[0]), atol=2)


@pytest.mark.usefixtures("drawn_figures")
def test_every_figure_is_laid_out_at_most_once_and_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counter[str]()

    def counted(kind: type, name: str) -> None:
        whole = getattr(kind, name)

        def count(*args: Any, **named: Any) -> Any:
            counts[name] += 1
            return whole(*args, **named)

        monkeypatch.setattr(kind, name, count)

    counted(Figure, "draw")
    counted(ConstrainedLayoutEngine, "execute")
    measured = [(each, measure(each, FEW)) for each in (at_layer(0), at_layer(1))]
    drawn = figures(*measured[0]) | run_figures(measured)
    for name, figure in drawn.items():
        counts.clear()
        save_figure(figure, tmp_path / f"{name}.png")
        placed = {"execute": 1} if name in ("measures_by_layer", "hub_overlap") else {}
        assert dict(counts) == {"draw": 1} | placed, name


@pytest.mark.usefixtures("drawn_figures")
@pytest.mark.parametrize("layers", [2, 9])
def test_nothing_is_cut_off(tmp_path: Path, layers: int) -> None:
    """Where axes are placed without a layout, their labels must have room."""
    big = topology_of(random_correlations(400, 0), model="a-model-of-a-long-name", data="mmlu")
    found = measure(big, FEW)
    every = [(replace(big, name=f"layer_{k}", layers=(k,)), found) for k in range(layers)]
    drawn = figures(*every[0]) | run_figures(every, ["heatmaps"])
    for name, figure in drawn.items():
        save_figure(figure, tmp_path / "one.png")
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > 0, name


@pytest.mark.usefixtures("drawn_figures")
def test_figures_come_as_vectors_beside_png(tmp_path: Path) -> None:
    for ending, start in (("pdf", b"%PDF"), ("svg", b"<?xml")):
        figure = figures(make(), measure(make(), FEW))["strength"]
        look = FiguresConfig(format=FigureFormat(ending))
        file = save_figure(figure, tmp_path / "one.png", look)
        assert file.read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"one.{ending}").read_bytes().startswith(start)


def test_points_beyond_the_axes_are_marked_with_their_values() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 1), ylim=(0, 3))
    mark_beyond(axes, [(0.2, 1), (-7.25, 2), (0.5, 9)], "black")
    marks = [(*line.get_xydata()[0], line.get_marker()) for line in axes.lines]
    assert marks == [(-0.5, 2, "<"), (0.5, 3, "^")]
    assert [text.get_text() for text in axes.texts] == ["-7.2", "9"]
    mark_beyond(axes, [(-1234.5, 1)], "black")
    assert axes.texts[-1].get_text() == "-1234"
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 1), (0, 3))


def test_logarithmic_axes_are_numbered_without_formulas() -> None:
    figure, axes = framed("a title", (3, 2))
    for low, high, seen in (
        (0.002, 5e5, {"0.01", "1", "100", "10⁴"}), (20, 60, {"20", "30", "40"}),
        (210, 1900, {"300", "500", "1000"}), (280, 3700, {"500", "1000", "2000"}),
    ):  # fmt: skip
        axes.set_ylim(low, high)
        log_scale(axes, "y")
        figure.draw_without_rendering()
        labels = {label.get_text() for label in axes.get_yticklabels(which="both")}
        assert seen <= labels
        assert not labels & {"700", "800", "900"}, "numbers so close lie on each other"
        assert not any("$" in label for label in labels)


def test_a_legend_below_panels_names_what_any_of_them_shows_once() -> None:
    figure, panels = grid("a title", 2, 2, (2, 2))
    for axes, labels in zip(panels, (("own", "_"), ("own", "chance")), strict=True):
        for label in labels:
            axes.plot([0, 1], label=label)
    legend_below(figure, panels, 2)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["own", "chance"]
    figure.draw_without_rendering()
    lowest = min(axes.get_window_extent().y0 for axes in panels)
    assert legend.get_window_extent().y1 < lowest


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
