"""A run from beginning to end agrees with the definitions, and says what a reader must know."""

import csv
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import topology as reference_topology

from probe import api, pipeline
from probe.config import (
    AverageConfig,
    Config,
    InitConfig,
    InitKind,
    LayersConfig,
    Selection,
    Site,
)
from probe.errors import UserError
from probe.extraction import norm_report
from probe.measures import measure
from probe.models import load_tokenizer
from probe.runs.facts import Facts
from probe.runs.load import load_topologies
from probe.topology import Topology
from tests.run_folders import draw_dots

WORDS = [
    "model=tiny", "data=sample", "data.limit=4", "subject=psychology", "layers=each",
    "tracking=none", "runtime.device=cpu", "measures.rewired=0",
]  # fmt: skip


def layers(selection: str, index: Any = None) -> LayersConfig:
    return LayersConfig(Selection(selection), index)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Put empty figures in the place of those that take a while to draw."""
    with pytest.MonkeyPatch.context() as patch:
        draw_dots(patch)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Compose the run that most tests share."""
    return api.compose(*WORDS, f"output={tmp_path_factory.mktemp('out')}")


@pytest.fixture(scope="module")
def run(config: Config) -> Path:
    return pipeline.run(config)


@pytest.fixture(scope="module")
def activations() -> dict[int, list[np.ndarray]]:
    """Read every layer's activations, a series of (n_tokens, n_neurons) for each example."""
    read = sorted(api.iterate(*WORDS), key=lambda example: example.example)
    return {layer: [e.layers[layer].double().numpy() for e in read] for layer in range(6)}


@pytest.fixture
def short(config: Config, tmp_path: Path) -> Config:
    """Configure a run over four texts of some 30 tokens, with an output of its own."""
    text = tmp_path / "text.jsonl"
    lines = [f"In year {n} the river carried {17 * n} boats of sand to the sea." for n in range(4)]
    text.write_text("".join(json.dumps({"text": line * 2}) + "\n" for line in lines))
    data = replace(config.data, source="text", name="short", path=str(text), limit=None)
    return replace(
        config, data=data, subject=None, layers=layers("all"), output=str(tmp_path / "out")
    )


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


# Layers.


def test_a_run_of_a_layer_that_is_not_there_leaves_no_results(short: Config) -> None:
    with pytest.raises(UserError, match="layer 6 is not in tiny"):
        pipeline.run(replace(short, layers=layers("single", 6)))
    assert not list(Path(short.output).rglob("*.npy"))
    assert not list(Path(short.output).rglob("manifest.json"))


def test_values_that_cannot_work_are_refused_before_anything_is_written(short: Config) -> None:
    with pytest.raises(UserError, match=r"average\.parts=0"):
        pipeline.run(replace(short, average=AverageConfig(parts=0)))
    assert not Path(short.output).exists()


# Matrices.


def test_every_layer_is_the_mean_of_the_examples_correlations(
    run: Path, activations: dict[int, list[np.ndarray]]
) -> None:
    topologies = load_topologies(run)
    assert [topology.layer for topology in topologies] == [0, 1, 2, 3, 4, 5]
    for topology in topologies:
        expected = reference_topology([activations[topology.layers[0]]], "mean")
        np.testing.assert_allclose(topology.matrix, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(topology.matrix, topology.matrix.T)
        np.testing.assert_array_equal(np.diagonal(topology.matrix), 1)


def test_all_layers_are_the_mean_over_layers(
    config: Config, activations: dict[int, list[np.ndarray]]
) -> None:
    (topology,) = load_topologies(pipeline.run(replace(config, layers=layers("all"))))
    expected = reference_topology(list(activations.values()), "mean")
    np.testing.assert_allclose(topology.matrix, expected, rtol=0, atol=1e-6)
    assert topology.layers == (0, 1, 2, 3, 4, 5)
    assert (topology.subject, topology.site, topology.init) == (
        "psychology", "residual", "pretrained",
    )  # fmt: skip


def test_parts_are_contiguous_and_each_knows_its_examples(
    config: Config, activations: dict[int, list[np.ndarray]]
) -> None:
    folder = pipeline.run(
        replace(config, layers=layers("single", 2), average=AverageConfig(parts=3))
    )
    parts = load_topologies(folder)
    assert [(part.part, part.parts, part.examples) for part in parts] == [
        (1, 3, 2), (2, 3, 1), (3, 3, 1),
    ]  # fmt: skip
    for part, members in zip(parts, ([0, 1], [2], [3]), strict=True):
        expected = reference_topology([[activations[2][b] for b in members]], "mean")
        np.testing.assert_allclose(part.matrix, expected, rtol=0, atol=1e-6)


def test_random_weights_are_said_in_name_and_topology(short: Config) -> None:
    trained = pipeline.run(short)
    folder = pipeline.run(replace(short, init=InitConfig(InitKind.random, 3)))
    (topology,) = load_topologies(folder)
    assert folder.name.startswith("all-mean-random-")
    assert topology.init == "random"
    assert not np.allclose(topology.matrix, load_topologies(trained)[0].matrix, atol=0.05)


# What is known of the run.


def test_the_manifest_counts_examples_and_tokens(
    run: Path, activations: dict[int, list[np.ndarray]]
) -> None:
    manifest = manifest_of(run)
    assert manifest["examples"] == 4
    assert manifest["tokens"] == sum(len(series) for series in activations[0])
    assert manifest["layers"] == [0, 1, 2, 3, 4, 5]
    assert manifest["ranks"] == 1
    assert manifest["skipped"] == {}


def test_the_first_token_is_compared_with_the_median_one(
    run: Path, activations: dict[int, list[np.ndarray]]
) -> None:
    expected = []
    # The last layer's before the final norm, not as it is read.
    raw = sorted(api.iterate(*WORDS, "layers=5", "site=residual_raw"), key=lambda e: e.example)
    before_norm = activations | {5: [e.layers[5].double().numpy() for e in raw]}
    for series in before_norm.values():
        norms = [np.linalg.norm(example, axis=1) for example in series]
        # The lower one of the two in the middle, as torch takes it.
        middle = [np.sort(of)[(len(of) - 1) // 2] for of in norms]
        expected.append(np.mean([of[0] / m for of, m in zip(norms, middle, strict=True)]))
    assert manifest_of(run)["first_token_norm"] == pytest.approx(expected, abs=1e-4)


def test_where_first_tokens_are_not_compared_no_number_is_given(short: Config) -> None:
    folder = pipeline.run(replace(short, site=Site.mlp, layers=layers("single", [1, 2])))
    with (folder / "measures_by_layer.csv").open(newline="") as stream:
        assert [row["first_token_norm"] for row in csv.DictReader(stream)] == ["", ""]
    assert manifest_of(folder).get("first_token_norm") is None


def test_measures_on_disk_are_those_of_the_matrices_on_disk(run: Path, config: Config) -> None:
    kept = json.loads((run / "measures.json").read_text())
    with (run / "measures_by_layer.csv").open(newline="") as stream:
        table = {row["topology"]: row for row in csv.DictReader(stream)}
    topologies = load_topologies(run)
    assert list(kept) == list(table) == [topology.name for topology in topologies]
    for topology in topologies:
        measures = measure(topology, config.measures)
        assert kept[topology.name] == json.loads(json.dumps(asdict(measures)))
        for name, value in measures.numbers().items():
            assert float(table[topology.name][name]) == value


def test_the_sweep_and_the_words_are_handed_on(
    short: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    write = pipeline.write

    def listen(place: Any, topologies: list[Topology], facts: Facts, group: Any) -> None:
        told.append((place.path, len(topologies), facts.examples, group))
        write(place, topologies, facts, group)

    monkeypatch.setattr(pipeline, "write", listen)
    folder = pipeline.run(short, ["layers=all"], "2026-11-20_12-00-00")
    assert told == [(folder, 1, 4, "2026-11-20_12-00-00")]
    assert (folder / "overrides.yaml").read_text() == "- layers=all\n"


def test_the_manifest_says_how_much_of_the_work_was_padding(
    config: Config, run: Path, short: Config, tmp_path: Path
) -> None:
    # Batches of one text each, and one batch of four texts, padded to the longest.
    runtime = replace(config.runtime, token_budget=1)
    alone = pipeline.run(replace(config, runtime=runtime, output=str(tmp_path)))
    assert manifest_of(alone)["padding"] == 0
    text = Path(str(short.data.path))
    text.write_text("\n".join(json.dumps({"text": "sand " * n}) for n in (95, 97, 99, 100)))
    uneven = pipeline.run(replace(short, average=AverageConfig(halves=False)))
    padding = manifest_of(uneven)["padding"]
    assert padding == pytest.approx(
        1 - manifest_of(uneven)["tokens"] / (4 * _longest(short)), abs=1e-4
    )
    assert padding > 0


def _longest(config: Config) -> int:
    lines = Path(str(config.data.path)).read_text().splitlines()
    tokenizer = load_tokenizer(config.model)
    return max(len(tokenizer(json.loads(line)["text"])["input_ids"]) for line in lines)


# What is said.


def test_the_console_shows_a_table_with_a_line_for_every_topology(
    short: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="probe")
    folder = pipeline.run(replace(short, layers=layers("single", [1, 4])))
    said = caplog.messages
    first = next(i for i, line in enumerate(said) if line.startswith("topology "))
    for line, topology in zip(said[first + 1 :], load_topologies(folder), strict=False):
        m = measure(topology, short.measures)
        name, neurons, mean, *_, hub1, hub2, hub3, hub4, hub5 = line.split()
        assert (name, neurons, mean) == (topology.name, "128", f"{m.mean_abs_r:.4f}")
        hubs = [hub1, hub2, hub3, hub4, hub5]
        assert hubs == [str(neuron) for neuron, _ in m.hubs[:5]]
    manifest = manifest_of(folder)
    assert said[0].startswith("tiny on short: 4 examples of ")
    assert f"({manifest['tokens']} in all)" in said[0]
    assert said[first + 3].startswith("layer_1: hub ")
    assert said[first + 4].startswith(f"4 examples, {manifest['tokens']} tokens, ")
    assert said[first + 5] == f"topologies, measures and figures: {folder}"
    assert said[first + 6 :] == []


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_few_tokens_are_warned_of(short: Config, caplog: pytest.LogCaptureFixture) -> None:
    pipeline.run(short)
    (warning,) = warnings_of(caplog)
    assert "fewer than 64 tokens" in warning
    assert "mean |r| of 0.10" in warning


def test_the_warning_of_few_tokens_is_true() -> None:
    """Unrelated series of 60 tokens do have that mean |r|."""
    r = np.corrcoef(np.random.default_rng(0).standard_normal((300, 60)))
    assert np.abs(r[np.triu_indices(300, 1)]).mean() == pytest.approx(0.10, abs=0.005)


def test_enough_tokens_and_no_sink_are_not_warned_of(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.run(replace(config, output=str(tmp_path), layers=layers("middle")))
    assert warnings_of(caplog) == []


def test_a_first_token_that_dominates_is_warned_of_with_its_layers(
    config: Config, run: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    norms = manifest_of(run)["first_token_norm"]
    limit = sorted(norms)[3]  # two of the six layers are above
    monkeypatch.setattr(norm_report, "LARGE", limit)
    pipeline.run(replace(config, output=str(tmp_path)))
    (warning,) = warnings_of(caplog)
    above = [str(layer) for layer, norm in enumerate(norms) if norm > limit]
    assert f"(layers {', '.join(above)})" in warning
    assert f"up to {max(norms):.0f} times the median" in warning
    assert "data.skip_first=1" in warning
    assert len(above) == 2
