"""Curves by layer show the measures of every layer, and hubs are compared layer with layer."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from probe.config import MeasuresConfig
from probe.measures import Measures, measure
from probe.plots import run_figures
from probe.topology import Topology
from tests.plots.drawn import at_layer, curve, known, null, panels, pixels, texts

pytestmark = pytest.mark.filterwarnings("error")
PANELS = {
    "mean |r|": "mean_abs_r",
    "Gini of strength": "strength_gini",
    "effective dimension": "participation_ratio",
    "share of leading eigenvalue": "leading_share",
    "clustering coefficient": "clustering",
    "modularity": "modularity",
    "small-world ratio": "small_world",
}
Measured = list[tuple[Topology, Measures]]


def measured(*topologies: Topology, **settings: object) -> Measured:
    usual = MeasuresConfig(**{"density": 0.4, "rewired": 2} | settings)  # type: ignore[arg-type]
    return [(topology, measure(topology, usual)) for topology in topologies]


def by_layer(pairs: Measured) -> dict[str, Axes]:
    return panels(run_figures(pairs)["measures_by_layer"])


def band(axes: Axes) -> dict[float, tuple[float, float]]:
    """Return the ends of the band at every layer."""
    (area,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    found: dict[float, list[float]] = {}
    for x, y in area.get_paths()[0].vertices:
        found.setdefault(float(x), []).append(float(y))
    return {x: (min(ys), max(ys)) for x, ys in found.items()}


def test_the_share_of_the_strongest_token_is_a_curve() -> None:
    shares = {0: 0.9, 3: 0.2}
    pairs = measured(
        *(
            at_layer(layer, reliability=replace(known(), strongest_share=share))
            for layer, share in shares.items()
        )
    )
    line = by_layer(pairs)["share of the strongest token"].lines[0]
    assert np.asarray(line.get_ydata()).tolist() == [0.9, 0.2]


def test_every_measure_is_drawn_against_the_layer() -> None:
    pairs = measured(*(at_layer(layer, reliability=known()) for layer in (7, 0, 3)))
    drawn = by_layer(pairs)
    assert set(drawn) == {*PANELS, "split-half r"}
    numbers = {topology.layer: found.numbers() for topology, found in pairs}
    for label, key in PANELS.items():
        layers, heights = np.asarray(drawn[label].lines[0].get_data()).tolist()
        assert layers == [0, 3, 7], label
        assert heights == pytest.approx([numbers[layer][key] for layer in layers]), label
        assert drawn[label].get_xlabel() == "layer"
        assert not drawn[label].collections, "there is no band without halves or parts"
    assert np.asarray(drawn["split-half r"].lines[0].get_ydata()).tolist() == [0.9] * 3


def test_chance_stands_beside_the_measures_that_have_one() -> None:
    reliability = known(null=null(np.zeros(200, dtype=np.int64)))
    pairs = measured(
        at_layer(0, reliability=reliability), at_layer(1, reliability=known(noise=0.04))
    )
    drawn = by_layer(pairs)
    noise = [np.sqrt(2 / np.pi) * 0.1, np.sqrt(2 / np.pi) * 0.2]
    assert curve(drawn["mean |r|"], "white noise")[1] == pytest.approx(noise)
    assert curve(drawn["mean |r|"], "circular shift") == ([0], [0.071])
    rewired = [found.graphs[0].modularity_null for _, found in pairs]
    assert curve(drawn["modularity"], "rewired") == ([0, 1], pytest.approx(rewired))
    assert texts(drawn["mean |r|"]).split("\n")[:2] == ["white noise", "circular shift"]
    assert drawn["clustering coefficient"].get_legend() is None


def test_without_reliability_and_rewired_graphs_their_panels_and_lines_are_left_out() -> None:
    drawn = by_layer(measured(at_layer(0), at_layer(1), rewired=0))
    assert set(drawn) == set(PANELS) - {"small-world ratio"}
    assert all(len(axes.lines) == 1 for axes in drawn.values())


def test_the_band_is_the_range_over_the_halves_that_have_the_number() -> None:
    halves = [{"mean_abs_r": 0.5, "strength_gini": 0.1}, {"mean_abs_r": 0.3}]
    drawn = by_layer(measured(*(at_layer(i, reliability=known(halves=halves)) for i in range(2))))
    assert band(drawn["mean |r|"]) == {0: (0.3, 0.5), 1: (0.3, 0.5)}
    assert not drawn["Gini of strength"].collections, "one number is no range"
    assert not drawn["clustering coefficient"].collections


def test_parts_are_a_mean_line_and_their_range() -> None:
    parts = [
        replace(at_layer(10 * part + layer), layers=(layer,), part=part, parts=3)
        for layer in (0, 1)
        for part in (1, 2, 3)
    ]
    pairs = measured(*parts)
    drawn = by_layer(pairs)
    for label, key in PANELS.items():
        values = np.array([found.numbers()[key] for _, found in pairs]).reshape(2, 3)
        layers, heights = np.asarray(drawn[label].lines[0].get_data())
        np.testing.assert_array_equal(layers, [0, 1])
        np.testing.assert_allclose(heights, values.mean(axis=1))
        for layer in (0, 1):
            assert band(drawn[label])[layer] == (values[layer].min(), values[layer].max())


def test_the_title_says_what_the_bands_are() -> None:
    def said(halves: list[dict[str, float]], parts: int) -> str:
        each = [at_layer(i, parts=parts, reliability=known(halves=halves)) for i in range(2)]
        said = run_figures(measured(*each))["measures_by_layer"].get_suptitle()
        return str(said).replace("\n", " ")

    beginning = "gpt2 (pretrained) on mmlu psychology: residual (mean, 40 examples)"
    end = "; the model's last layer is read behind its final norm"
    number = {"mean_abs_r": 0.1}
    assert said([], 1) == beginning + end
    assert said([number], 1) == f"{beginning}; bands: range over halves of the documents{end}"
    assert said([], 2) == f"{beginning}; bands: range over parts{end}"
    both = "; bands: range over parts and halves of the documents"
    assert said([number], 2) == beginning + both + end


def test_a_reliability_is_read_from_zero_to_one() -> None:
    axes = by_layer(measured(*(at_layer(i, reliability=known()) for i in (0, 1))))["split-half r"]
    assert axes.get_ylim() == (0, 1.03)


def test_other_topologies_of_the_same_layers_have_lines_of_their_own() -> None:
    pairs = measured(*(at_layer(layer) for layer in (0, 1)), rewired=0)
    pairs += [
        (replace(topology, name=f"{topology.name}_without_sinks"), found)
        for topology, found in measured(
            at_layer(4, layers=(0,), name="layer_0"), at_layer(5, layers=(1,), name="layer_1")
        )
    ]
    figure = run_figures(pairs)["measures_by_layer"]
    axes = panels(figure)["mean |r|"]
    for label, shown in (("all tokens", pairs[:2]), ("without sinks", pairs[2:])):
        layers, heights = curve(axes, label)
        assert layers == [0, 1]
        assert heights == [found.mean_abs_r for _, found in shown]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "all tokens",
        "without sinks",
    ]
    drawn = run_figures(pairs)
    for name, shown in (("hub_overlap", pairs[:2]), ("hub_overlap_without_sinks", pairs[2:])):
        alone = run_figures(shown)[name]
        np.testing.assert_array_equal(pixels(drawn[name].axes[0]), pixels(alone.axes[0]))


def test_graph_measures_have_a_panel_for_each_density() -> None:
    pairs = measured(at_layer(0), at_layer(1), density=[0.3, 0.5])
    drawn = by_layer(pairs)
    for density, place in (("0.3", 0), ("0.5", 1)):
        axes = drawn[f"modularity at density {density}"]
        graphs = [found.graphs[place] for _, found in pairs]
        heights = np.asarray(axes.lines[0].get_ydata()).tolist()
        assert heights == [graph.modularity for graph in graphs]
        assert curve(axes, "rewired")[1] == [graph.modularity_null for graph in graphs]
    assert "modularity" not in drawn


@pytest.mark.parametrize("layers", [2, 24, 48])
def test_ticks_are_at_whole_layers(layers: int) -> None:
    (first,) = measured(at_layer(0), rewired=0)
    pairs = [(replace(first[0], layers=(layer,)), first[1]) for layer in range(layers)]
    figure = run_figures(pairs)["measures_by_layer"]
    figure.draw_without_rendering()
    for axes in figure.axes:
        ticks = axes.get_xticks()
        assert all(float(tick).is_integer() for tick in ticks)
        assert 2 <= sum(0 <= tick < layers for tick in ticks) <= 12


def test_one_layer_and_means_over_layers_have_no_figure_of_the_run() -> None:
    mean = at_layer(0, layers=(0, 1), name="all_layers")
    parts = at_layer(3, parts=2), at_layer(3, part=2, parts=2)
    for few in ([at_layer(3)], [mean], [mean, at_layer(3)], parts):
        assert set(run_figures(measured(*few))) == {"heatmaps"}
    drawn = run_figures(measured(mean, at_layer(3), at_layer(4)))
    assert list(drawn) == ["heatmaps", "measures_by_layer", "hub_overlap"]
    assert panels(drawn["measures_by_layer"])["mean |r|"].lines[0].get_xdata().tolist() == [3, 4]


def with_hubs(layer: int, hubs: list[int], **changed: int) -> tuple[Topology, Measures]:
    ((topology, found),) = measured(at_layer(layer), rewired=0)
    strong = [(neuron, 1.0) for neuron in hubs]
    return replace(topology, **changed), replace(found, hubs=strong)  # type: ignore[arg-type]


def test_the_overlap_is_the_share_of_common_hubs_beside_chance() -> None:
    pairs = [with_hubs(5, [0, 1, 2]), with_hubs(0, [2, 1, 7]), with_hubs(2, [8, 9, 0])]
    figure = run_figures(pairs)["hub_overlap"]
    axes = figure.axes[0]
    nan = np.nan
    expected = [[nan, 0, 2 / 3], [0, nan, 1 / 3], [2 / 3, 1 / 3, nan]]
    np.testing.assert_allclose(pixels(axes), expected)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "2", "5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2", "5"]
    assert axes.images[0].get_clim() == (0, 1)
    label = axes.images[0].colorbar.ax.get_ylabel()
    assert label == "share of 3 hubs in common; by chance 3/12 = 0.250"
    assert [text.get_text() for text in axes.texts] == [
        "0.00",
        "0.67",
        "0.00",
        "0.33",
        "0.67",
        "0.33",
    ]


def test_the_overlap_of_parts_is_the_mean_over_them() -> None:
    pairs = [
        with_hubs(0, [0, 1], part=1, parts=2), with_hubs(0, [2, 3], part=2, parts=2),
        with_hubs(1, [0, 1], part=1, parts=2), with_hubs(1, [3, 4], part=2, parts=2),
    ]  # fmt: skip
    (image,) = [pixels(run_figures(pairs)["hub_overlap"].axes[0])]
    np.testing.assert_allclose(image, [[np.nan, 0.75], [0.75, np.nan]])


def test_chance_is_what_random_hubs_have_in_common() -> None:
    rng, n, h = np.random.default_rng(0), 12, 5
    draws = [
        len({*rng.choice(n, h, replace=False)} & {*rng.choice(n, h, replace=False)}) / h
        for _ in range(4000)
    ]
    figure = run_figures([with_hubs(layer, [*range(h)]) for layer in (0, 1)])["hub_overlap"]
    label = figure.axes[0].images[0].colorbar.ax.get_ylabel()
    assert float(label.rpartition("= ")[2]) == pytest.approx(np.mean(draws), abs=0.01)


def test_neurons_of_mlps_are_not_compared_between_layers() -> None:
    pairs = measured(at_layer(0, site="mlp"), at_layer(1, site="mlp"), rewired=0)
    assert set(run_figures(pairs)) == {"heatmaps", "measures_by_layer"}


def test_values_are_written_up_to_24_layers() -> None:
    pairs = [with_hubs(layer, [1, 3]) for layer in range(24)]
    figure = run_figures(pairs)["hub_overlap"]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.images[0].get_clim() == (0, 1), "not the range of what is drawn"
    assert {text.get_text() for text in axes.texts} == {"1.00"}
    boxes = [text.get_window_extent() for text in axes.texts[:24]]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_many_layers_are_named_sparsely_and_without_numbers_in_the_cells() -> None:
    pairs = [with_hubs(layer, [layer % 12, 3]) for layer in range(48)]
    axes = run_figures(pairs)["hub_overlap"].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        str(i) for i in range(0, 48, 2)
    ]
    assert axes.get_yticks().tolist() == list(range(0, 48, 2))
    assert not axes.texts
