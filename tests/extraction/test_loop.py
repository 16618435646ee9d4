"""The whole way from text to matrix against the definition, on activations captured otherwise."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModel, AutoTokenizer

from probe import api
from probe.api import View
from probe.config import (
    AverageConfig,
    Config,
    LayersConfig,
    Scheme,
    Selection,
    Side,
    Site,
    Weight,
)
from probe.data import load_documents
from probe.errors import UserError
from probe.pipeline import extract_topologies
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests import reference
from tests.tiny_models import ATTENTION, MLP_OUTPUT, save_tiny

TEXTS = [f"The {'long ' * n}river carried {n} boats of sand to the sea." for n in range(7)]
Captured = dict[str, list[list[np.ndarray]]]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Take a model with rotary or absolute positions, and seven texts in small batches."""
    folder = tmp_path_factory.mktemp(request.param)
    model = save_tiny(request.param, folder / request.param)
    text = folder / "texts.jsonl"
    text.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    data = ["data=text", f"data.path={text}", "runtime.token_budget=150", "data.min_tokens=4"]
    return ["model=local", f"model.path={model}", *data]


@pytest.fixture(scope="module")
def captured(words: list[str]) -> Captured:
    """Every site of every layer, one text at a time, by a plain forward pass."""
    path = Path(words[1].partition("=")[2])
    model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    blocks = model.layers if path.name == "llama" else model.h
    found: Captured = {site: [[] for _ in blocks] for site in Site}
    found["embedding"] = [[]]

    def keep(site: str, layer: int, value: Any) -> None:
        value = value[0] if isinstance(value, tuple) else value
        found[site][layer].append(value.reshape(-1, value.shape[-1]).numpy().copy())

    for layer, block in enumerate(blocks):
        block.get_submodule(MLP_OUTPUT[path.name]).register_forward_pre_hook(
            lambda _, value, layer=layer: keep("mlp", layer, value)
        )
        outputs = {"attention": ATTENTION[path.name], "mlp_output": "mlp", "residual_raw": ""}
        for site, part in outputs.items():
            block.get_submodule(part).register_forward_hook(
                lambda _, __, value, layer=layer, site=site: keep(site, layer, value)
            )
    for text in TEXTS:
        with torch.no_grad():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            states = model(ids, output_hidden_states=True).hidden_states
        keep("embedding", 0, states[0])
        for layer, state in enumerate(states[1:]):
            keep("residual", layer, state)
    return found


@pytest.fixture(scope="module")
def config(words: list[str]) -> Config:
    return api.compose(*words)


def extract(
    config: Config, layers: str = "each", index: int | None = None, **changed: Any
) -> list[Topology]:
    """Extract without composing again, which takes longer than the extraction."""
    config = replace(config, layers=LayersConfig(Selection(layers), index), **changed)
    return extract_topologies(config, load_documents(config))[0]


# The scheme does not depend on the site, but for its width, and that of MLPs is another.
SCHEMES = [*product((Site.residual, Site.mlp), Scheme)]
SITES = [(site, Scheme.mean) for site in Site if site not in (Site.residual, Site.mlp)]


@pytest.mark.parametrize(("site", "scheme"), [*SCHEMES, *SITES])
@pytest.mark.parametrize("side", list(Side))
def test_a_topology_is_its_definition(
    config: Config, captured: Captured, site: Site, scheme: Scheme, side: Side
) -> None:
    layers = captured[site]
    weight = Weight.token if scheme is Scheme.pooled else Weight.example
    config = replace(
        config,
        site=site,
        average=AverageConfig(scheme=scheme, weight=weight),
        model=replace(config.model, padding_side=side),
    )
    for topology in extract(config):
        expected = reference.topology([layers[topology.layers[0]]], scheme)
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
    if site is not Site.mlp:
        [mean] = extract(config, "all")
        np.testing.assert_allclose(mean.matrix, reference.topology(layers, scheme), atol=1e-6)


def test_parts_one_example_and_left_out_tokens_are_their_definitions(
    words: list[str], captured: Captured
) -> None:
    series = captured["residual"][1]
    parts = np.array_split(np.arange(len(TEXTS)), 3)
    for topology, members in zip(
        api.extract(*words, "layers=1", "average=partitioned"), parts, strict=True
    ):
        expected = reference.topology([[series[b] for b in members]], "mean")
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6)
        assert topology.examples == len(members)
    [one] = api.extract(*words, "layers=1", "average=single", "average.example=4")
    np.testing.assert_allclose(one.matrix, reference.topology([[series[4]]], "mean"), atol=1e-6)
    assert known(one).split_half is None, "one example has no halves"
    [later] = api.extract(*words, "layers=1", "data.skip_first=2")
    expected = reference.topology([[x[2:] for x in series]], "mean")
    np.testing.assert_allclose(later.matrix, expected, atol=1e-6)


# What is known of its noise.


def known(topology: Topology) -> Reliability:
    assert topology.reliability is not None
    return topology.reliability


def split_half(series: list[np.ndarray], halves: list[list[int]]) -> float:
    first, second = (reference.topology([[series[b] for b in half]], "mean") for half in halves)
    upper = np.triu_indices(len(first), 1)
    return float(stats.pearsonr(first[upper], second[upper]).statistic)


def test_the_documents_are_dealt_out_to_two_halves(config: Config, captured: Captured) -> None:
    for topology in extract(config):
        expected = split_half(captured["residual"][topology.layers[0]], [[0, 2, 4, 6], [1, 3, 5]])
        assert known(topology).split_half == pytest.approx(expected, abs=1e-5)
        assert known(topology).tokens == sum(len(x) for x in captured["residual"][0])
        assert known(topology).null is None


def test_every_part_has_halves_of_its_own(config: Config, captured: Captured) -> None:
    halves = {1: [[0, 2], [1, 3]], 2: [[4, 6], [5]]}
    for topology in extract(config, average=AverageConfig(parts=2)):
        series = captured["residual"][topology.layers[0]]
        expected = split_half(series, halves[topology.part])
        assert known(topology).split_half == pytest.approx(expected, abs=1e-5)
        members = [m for half in halves[topology.part] for m in half]
        assert known(topology).tokens == sum(len(series[m]) for m in members)


def test_without_halves_the_matrices_are_the_same(config: Config) -> None:
    for topology, plain in zip(
        extract(config), extract(config, average=AverageConfig(halves=False)), strict=True
    ):
        assert known(plain).split_half is None
        assert known(plain).halves == []
        np.testing.assert_allclose(plain.matrix, topology.matrix, atol=1e-6)


def test_a_mean_over_layers_tells_how_far_each_agrees(config: Config, captured: Captured) -> None:
    [mean] = extract(config, "all")
    upper = np.triu_indices(mean.n_neurons, 1)
    whole = reference.topology(captured["residual"], "mean")[upper]
    expected = {
        str(layer): stats.pearsonr(reference.topology([series], "mean")[upper], whole).statistic
        for layer, series in enumerate(captured["residual"])
    }
    assert known(mean).layer_agreement == pytest.approx(expected, abs=1e-4)
    assert [known(topology).layer_agreement for topology in extract(config)] == [{}] * 3


# Matrices that share their texts.


def test_views_that_overlap_are_what_separate_extractions_are(config: Config) -> None:
    views = {
        "all": View("all", (1,), 0, 7),
        "first": View("first", (1,), 0, 1),
        "middle": View("middle", (1,), 2, 5),
        "end": View("end", (2,), 3, 7),
        "fisher": View("fisher", (1,), 2, 7, "fisher"),
        "pooled": View("pooled", (1,), 0, 5, "pooled"),
        "mean": View("mean", (0, 1, 2), 1, 7),
    }
    together, facts = api.extract_views(config, views=lambda *_: list(views.values()))
    assert (facts.examples, facts.layers) == (7, [0, 1, 2])
    assert [topology.name for topology in together] == list(views)
    for topology in together:
        view = views[topology.name]
        [alone] = extract(
            config,
            "all" if len(view.layers) == 3 else "single",
            view.layers[0],
            data=replace(config.data, offset=view.start, limit=view.stop - view.start),
            average=AverageConfig(scheme=Scheme(view.scheme)),
        )
        np.testing.assert_allclose(topology.matrix, alone.matrix, atol=1e-6, rtol=0)
        assert topology.examples == alone.examples == view.stop - view.start
        assert (topology.layers, topology.scheme) == (alone.layers, alone.scheme)
        assert known(topology).noise == pytest.approx(known(alone).noise, rel=1e-12)
        assert known(topology).split_half is None
        assert known(topology).layer_agreement == pytest.approx(
            known(alone).layer_agreement, abs=1e-3
        )


def test_views_may_leave_examples_out(config: Config, captured: Captured) -> None:
    [first, last], facts = api.extract_views(
        config, views=lambda n, _: [View("first", (0,), 1, 3), View("last", (0,), n - 2, n)]
    )
    series = captured["residual"][0]
    assert facts.examples == 4
    assert facts.tokens == sum(len(series[b]) for b in (1, 2, 5, 6))
    for topology, members in ((first, [1, 2]), (last, [5, 6])):
        expected = reference.topology([[series[b] for b in members]], "mean")
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6)


# Several layers' neurons.


def together(captured: Captured, site: str, layers: list[int]) -> list[np.ndarray]:
    """Put the layers of each text side by side."""
    return [
        np.concatenate(text, axis=1)
        for text in zip(*(captured[site][k] for k in layers), strict=True)
    ]


@pytest.mark.parametrize("scheme", [Scheme.mean, Scheme.fisher])
@pytest.mark.parametrize("site", [Site.residual, Site.mlp])
@pytest.mark.parametrize("side", list(Side))
def test_layers_are_joined_by_definition(
    config: Config, captured: Captured, site: Site, scheme: Scheme, side: Side
) -> None:
    changed: dict[str, Any] = {
        "site": site,
        "average": AverageConfig(scheme=scheme, weight=Weight.token, halves=False),
        "model": replace(config.model, padding_side=side),
    }
    crossed = extract(config, "cross", **changed)
    assert [topology.layers for topology in crossed] == [(0, 1), (0, 2), (1, 2)]
    for topology in crossed:
        series = together(captured, site, list(topology.layers))
        expected = reference.topology([series], scheme, "token")
        n = len(expected) // 2
        np.testing.assert_allclose(topology.matrix, expected[:n, n:], atol=1e-6, rtol=0)
    [full] = extract(config, "full", **changed)
    expected = reference.topology([together(captured, site, [0, 1, 2])], scheme, "token")
    np.testing.assert_allclose(full.matrix, expected, atol=1e-6, rtol=0)
    assert (full.layers, full.kind) == ((0, 1, 2), "full")


def test_some_layers_are_joined_part_by_part(words: list[str], captured: Captured) -> None:
    chosen = ["layers.index=[2,0]", "average.parts=2", "runtime.token_budget=70"]
    parts = np.array_split(np.arange(len(TEXTS)), 2)
    series = together(captured, "residual", [0, 2])
    for kind in ("cross", "full"):
        found = api.extract(*words, f"layers={kind}", *chosen)
        for topology, members in zip(found, parts, strict=True):
            expected = reference.topology([[series[b] for b in members]], "mean")
            n = len(expected) // 2
            expected = expected[:n, n:] if kind == "cross" else expected
            np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
            assert topology.layers == (0, 2)


@pytest.mark.parametrize("words", ["llama"], indirect=True)
def test_what_is_joined_is_found_again_with_measures_and_figures(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ["tracking=none", f"output={tmp_path}", "measures.rewired=0"]
    run = api.run(*words, *plain, "layers=cross")
    assert sorted(file.name for file in (run / "topology").iterdir()) == [
        "cross_layer_0_1_avg_corr.npy",
        "cross_layer_0_2_avg_corr.npy",
        "cross_layer_1_2_avg_corr.npy",
    ]
    assert {file.name for file in (run / "figures").iterdir()} == {
        "cross_layers.png",
        "heatmaps.png",
        *(f"cross_layer_{pair}_{kind}.png"
          for pair in ("0_1", "0_2", "1_2") for kind in ("heatmap", "histogram")),
    }  # fmt: skip
    between = api.load_topology(run, "cross_layer_0_2")
    assert (between.kind, between.layers, between.layer) == ("cross", (0, 2), None)
    assert api.run(*words, *plain, "layers=cross") == run  # found again
    monkeypatch.setattr("probe.topology.topology._LARGE", 100)
    run = api.run(*words, *plain, "layers=full")
    full = api.load_topology(run)
    assert isinstance(full.matrix, np.memmap)
    [expected] = api.extract(*words, "layers=full")
    assert not isinstance(expected.matrix, np.memmap)
    np.testing.assert_array_equal(full.matrix, expected.matrix)
    again = api.run(*words, *plain, "layers=full", "measures.hubs=2")
    assert again == run
    np.testing.assert_array_equal(api.load_topology(run).matrix, expected.matrix)


def test_memory_between_layers_is_said_before_the_run(
    words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    api.extract(*words, "layers=cross", "average=fisher")
    said = "\n".join(caplog.messages)
    assert "sums between layers: 3 blocks × 16² × 8 bytes" in said
    assert "all 3 layers" in said
    assert "average.halves=true does so, with twice the sums" in said


def test_a_model_of_one_layer_has_nothing_to_join(tmp_path: Path) -> None:
    model = save_tiny("llama", tmp_path / "one", num_hidden_layers=1)
    for kind in ("cross", "full"):
        with pytest.raises(UserError, match=f"layers={kind} joins two layers or more, but one has"):
            api.extract("model=local", f"model.path={model}", f"layers={kind}")


def test_a_layer_to_join_must_be_in_the_model(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"layer 7 is not in .*, whose layers are 0 to 2"):
        api.extract(*words, "layers=full", "layers.index=[0,7]")


@pytest.mark.parametrize("layers", ["all", "full"])
def test_layers_of_several_widths_are_neither_averaged_nor_joined(
    layers: str, tmp_path: Path
) -> None:
    """As in OPT-350m, whose last output has the width of its embeddings."""
    save_tiny("opt", tmp_path, word_embed_proj_dim=8, do_layer_norm_before=False)
    words = [f"model={tmp_path}", "data.limit=2", "data.sinks=auto", "tracking=none"]
    with pytest.raises(UserError, match=r"of layers that have 8, \d+ neurons, which cannot be ave"):
        api.extract(*words, f"layers={layers}")
