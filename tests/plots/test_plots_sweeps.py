"""A sweep is drawn as curves by layer or as points, each row where it belongs."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from probe.plots import sweep
from probe.plots.style import COLOURS
from tests.plots.drawn import curve, panels, texts

pytestmark = pytest.mark.filterwarnings("error")


def row(mean: float, layer: int | None = None, **values: Any) -> dict[str, Any]:
    topology = "all_layers" if layer is None else f"layer_{layer}"
    return {"topology": topology, "layer": layer, "mean_abs_r": mean, **values}


def legend(figure: Figure) -> tuple[str, list[str]]:
    (found,) = figure.legends
    return found.get_title().get_text(), [text.get_text() for text in found.get_texts()]


BY_LAYER = [
    row(0.1 * layer + shift, layer, layers=str(layer), init=init, strength_gini=0.5)
    for init, shift in (("pretrained", 0.0), ("random", 0.05))
    for layer in (7, 0, 3)
]


def test_layers_are_an_axis_and_every_other_combination_is_a_line() -> None:
    figure = sweep(BY_LAYER, ["layers", "init"])
    axes = panels(figure)["mean |r|"]
    assert curve(axes, "pretrained") == ([0, 3, 7], pytest.approx([0.0, 0.3, 0.7]))
    assert curve(axes, "random") == ([0, 3, 7], pytest.approx([0.05, 0.35, 0.75]))
    assert legend(figure) == ("init", ["pretrained", "random"])
    assert set(panels(figure)) == {"mean |r|", "Gini of strength"}
    assert axes.get_xlabel() == "layer"
    assert figure.get_suptitle() == "Sweep over layers, init: 6 topologies"
    assert not axes.collections


def test_combinations_of_several_keys_are_told_apart() -> None:
    rows = [
        row(0.1 * i, layer, **{"init": init, "data.limit": limit})
        for layer in (0, 1)
        for i, (init, limit) in enumerate(
            [(init, limit) for init in ("pretrained", "random") for limit in range(5)]
        )
    ]
    figure = sweep(rows, ["init", "layers.index", "data.limit"])
    title, names = legend(figure)
    assert title == "init, data.limit"
    assert names == [f"{init}, {i}" for init in ("pretrained", "random") for i in range(5)]
    lines = [line for line in panels(figure)["mean |r|"].lines if line.get_label() in names]
    styles = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(set(styles)) == 10
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([0.1 * i for i in range(10)])


def test_one_line_needs_no_legend() -> None:
    figure = sweep(BY_LAYER[:3], ["layers"])
    assert not figure.legends
    assert panels(figure)["mean |r|"].lines[0].get_xdata().tolist() == [0, 3, 7]


def test_parts_are_their_mean_and_range_in_curves_and_points() -> None:
    rows = [row(value, layer) for layer in (0, 1) for value in (0.1, 0.5, 0.3)]
    axes = panels(sweep(rows, ["layers"]))["mean |r|"]
    assert axes.lines[0].get_ydata() == pytest.approx([0.3, 0.3])
    (area,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    assert {float(y) for y in area.get_paths()[0].vertices[:, 1]} == {0.1, 0.5}

    rows = [row(value, init=init) for init in ("a", "b") for value in (0.1, 0.5, 0.3)]
    axes = panels(sweep(rows, ["init"]))["mean |r|"]
    assert axes.lines[0].get_ydata() == pytest.approx([0.3, 0.3])
    (bars,) = (each for each in axes.collections if isinstance(each, LineCollection))
    np.testing.assert_allclose(bars.get_segments(), [[[0, 0.1], [0, 0.5]], [[1, 0.1], [1, 0.5]]])


POINTS = [
    row(0.1 * i + shift, subject=subject, init=init, chance_abs_r=0.01 * i + shift)
    for init, shift in (("pretrained", 0.0), ("random", 0.05))
    for i, subject in enumerate(["psychology", "law", "high_school_macroeconomics"])
]


def places(axes: Axes, label: str) -> list[float]:
    return np.round(curve(axes, label)[0], 6).tolist()


def test_without_layers_topologies_are_points_by_the_first_key() -> None:
    figure = sweep(POINTS, ["subject", "init"])
    axes = panels(figure)["mean |r|"]
    assert places(axes, "pretrained") == pytest.approx([-0.175, 0.825, 1.825])
    assert places(axes, "random") == pytest.approx([0.175, 1.175, 2.175])
    assert curve(axes, "pretrained")[1] == pytest.approx([0.0, 0.1, 0.2])
    assert curve(axes, "random")[1] == pytest.approx([0.05, 0.15, 0.25])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["psychology", "law", "high_school_macroeconomics"]
    assert axes.get_xlabel() == "subject"
    assert legend(figure) == ("init", ["pretrained", "random"])
    assert to_hex(axes.lines[0].get_color()) == COLOURS[0].lower()
    figure.draw_without_rendering()


def test_a_mean_over_layers_among_layers_makes_points() -> None:
    rows = [row(0.1, None, layers="all"), row(0.2, 0, layers="each"), row(0.3, 1, layers="each")]
    axes = panels(sweep(rows, ["layers"]))["mean |r|"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["all", "each"]
    assert axes.lines[0].get_ydata() == pytest.approx([0.1, 0.25])


def test_one_layer_in_all_runs_makes_points() -> None:
    rows = [row(0.1, 3, init="a"), row(0.2, 3, init="b")]
    axes = panels(sweep(rows, ["init"]))["mean |r|"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]


def test_nothing_varied_is_drawn_by_topology() -> None:
    figure = sweep([row(0.1, 3)], [])
    axes = panels(figure)["mean |r|"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["layer_3"]
    assert figure.get_suptitle() == "Sweep: 1 topology"


def test_chance_is_drawn_in_the_colour_of_what_it_belongs_to() -> None:
    axes = panels(sweep(POINTS, ["subject", "init"]))["mean |r|"]
    dashes = [line for line in axes.lines if line.get_marker() == "_" and len(line.get_xdata())]
    assert [line.get_color() for line in dashes] == list(COLOURS[:2])
    assert dashes[0].get_ydata() == pytest.approx([0.0, 0.01, 0.02])
    assert dashes[1].get_ydata() == pytest.approx([0.05, 0.06, 0.07])
    assert "white noise" in texts(axes)

    rows = [each | {"chance_abs_r": 0.01, "null_mean_abs_r": 0.02} for each in BY_LAYER]
    figure = sweep(rows, ["layers", "init"])
    axes = panels(figure)["mean |r|"]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    assert [line.get_ydata().tolist() for line in dotted] == [[0.02] * 3] * 2, "the stricter chance"
    assert "circular shift" in texts(axes)
    assert panels(figure)["Gini of strength"].get_legend() is None


def test_numbers_that_some_rows_lack_are_left_out_of_their_lines() -> None:
    rows = [
        row(0.1, 0, init="a", small_world=2.0),
        row(0.2, 1, init="a", small_world=None),
        row(0.3, 0, init="b", small_world=""),
        row(0.4, 1, init="b"),
    ]
    drawn = panels(sweep(rows, ["layers", "init"]))
    assert curve(drawn["small-world ratio"], "a") == ([0], [2.0])
    assert curve(drawn["small-world ratio"], "b") == ([], [])
    assert len(curve(drawn["mean |r|"], "b")[0]) == 2
    points = [each | {"layer": None} for each in rows]
    drawn = panels(sweep(points, ["topology", "init"]))
    assert curve(drawn["small-world ratio"], "a")[1] == [2.0]
    assert curve(drawn["small-world ratio"], "b") == ([], [])


def test_densities_have_panels_of_their_own() -> None:
    rows = [
        row(0.1, layer, **{"modularity_at_0.1": 0.4 + layer, "modularity_null_at_0.1": 0.2})
        for layer in (0, 1)
    ]
    axes = panels(sweep(rows, ["layers"]))["modularity at density 0.1"]
    assert axes.lines[0].get_ydata().tolist() == [0.4, 1.4]
    assert axes.lines[1].get_ydata().tolist() == [0.2, 0.2]
    assert "rewired" in texts(axes)


def test_names_of_places_are_written_below_the_last_panels_only() -> None:
    keys = ["mean_abs_r", "split_half", "strength_gini", "participation_ratio", "leading_share"]
    rows = [{"topology": "all_layers", "init": init} | dict.fromkeys(keys, 0.5) for init in "ab"]
    drawn = panels(sweep(rows, ["init"]))
    named = {
        label for label, axes in drawn.items()
        if [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
    }  # fmt: skip
    assert named == set(drawn) - {"mean |r|"}


def test_a_legend_of_many_lines_widens_the_figure() -> None:
    few, many = (
        sweep([row(0.1, layer, seed=s) for layer in (0, 1) for s in range(k)], ["layers", "seed"])
        for k in (2, 60)
    )
    assert len(legend(many)[1]) == 60
    assert many.get_figwidth() > few.get_figwidth()
    many.draw_without_rendering()
