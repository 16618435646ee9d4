"""The study leaves its tables and figures, goes on where it was, and words every mistake."""

import csv
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import experiments.graph_probe.run as run_module
import probe.data
import probe.examples.explicit
from experiments.controls import embeddings
from experiments.graph_probe import texts
from experiments.graph_probe.fits import Key, Parts, load
from experiments.graph_probe.metrics import r2
from experiments.graph_probe.report import figures, log_headline
from experiments.graph_probe.run import run, targets_of
from experiments.graph_probe.settings import GraphProbe, GraphProbeConfig, check
from experiments.graph_probe.targets import Target, label_target
from probe import api
from probe.api import Document, UserError, compose, documents, overlay, perplexities
from probe.data.document import Stream
from tests.tiny_models import LINES, save_tiny

ROWS = 48
SMALL: dict[str, Any] = {
    "targets": ["year", "kind"], "probes": ["ridge", "mlp", "gcn"],
    "densities": [1.0, 0.1], "seeds": 2, "inits": 2, "epochs": 2, "repetitions": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> GraphProbeConfig:
    """Make a tiny model and a table of texts, and say what to do with them."""
    place = tmp_path_factory.mktemp("graph_probe")
    model = save_tiny("llama", place / "model")
    words, generator = " ".join(LINES).split(), random.Random(0)
    with (place / "works.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "year", "kind"])
        for row in range(ROWS):
            text = " ".join(generator.choices(words, k=12 + row % 5))
            table.writerow([text, 1900 + row, ("novel", "play", "poem")[row % 3]])
    composed = compose(
        "model=local", f"model.path={model}", "data=table", f"data.path={place / 'works.csv'}",
        "data.template='{text}'", "tracking=none", "runtime.device=cpu", f"output={place / 'out'}",
        "layers=[0,2]",
    )  # fmt: skip
    return GraphProbeConfig(**vars(composed), study=GraphProbe(**SMALL))


@pytest.fixture(scope="module")
def folder(config: GraphProbeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("study")
    facts = run(config, place)
    headline = facts.pop("headline")
    assert facts == {
        "examples": ROWS, "documents": ROWS, "layers": [0, 2], "optimistic": False,
    }  # fmt: skip
    found = json.loads((place / "results.json").read_text())["headline"]
    assert headline == {
        "gain": {f"{one['target']} layer {one['layer']}": one["gain"] for one in found}
    }
    return place


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def test_it_leaves_predictions_tables_and_figures(folder: Path) -> None:
    files = {str(file.relative_to(folder)) for file in folder.rglob("*.*")}
    passes = [f"layer_{n}{random}" for n in (0, 2) for random in ("", "_random_0", "_random_1")]
    figures = [f"layer_{n}{density}" for n in (0, 2) for density in ("", "_density")]
    assert files == {
        "results.json", "scores.csv", "gains.csv", "predictions/made_of.json",
        *(f"predictions/{name}.npz" for name in ["texts", *passes]),
        *(
            f"figures/{target}_{name}.png"
            for target in SMALL["targets"]
            for name in [*figures, "by_layer"]
        ),
    }  # fmt: skip


def test_every_control_stands_beside_every_layer(folder: Path) -> None:
    rows = results(folder)["scores"]
    free = {row["input"] for row in rows if row["layer"] is None}
    assert free == {"length", "bag_of_tokens", "embedding_topology"}
    for layer in (0, 2):
        assert {row["input"] for row in rows if row["layer"] == layer} == {
            "last_token", "mean_activation", "mean_and_deviation", "covariance", "topology",
            "shuffled_targets", "random_topology",
        }  # fmt: skip
    assert {"r2", "mse", "mae", "pearson", "spearman"} < set(rows[0])
    assert {row["metric"] for row in results(folder)["gains"]} == {"r2", "auc"}


def test_scores_are_those_of_the_predictions(folder: Path, config: GraphProbeConfig) -> None:
    years, names = 1900.0 + np.arange(ROWS), [f"works.csv/{row}" for row in range(ROWS)]
    fits, found = load(folder / "predictions" / "layer_2.npz"), []
    for seed in range(2):
        parts = Parts.of(names, "validation", seed)
        low, high = years[parts.train].min(), years[parts.train].max()
        predicted = fits[Key("year", "topology", 0.1, "mlp", seed)][:, 0]
        found.append(r2(((years - low) / (high - low))[parts.test], predicted[parts.test]))
    [row] = (
        row
        for row in results(folder)["scores"]
        if (row["layer"], row["target"], row["input"]) == (2, "year", "topology")
        and (row["density"], row["probe"]) == (0.1, "mlp")
    )
    assert row["r2"] == pytest.approx(np.mean(found))
    assert row["deviation_over_seeds"] == pytest.approx(np.std(found, ddof=1))
    assert row["r2_low"] < row["r2_high"]


def test_random_models_take_turns(folder: Path) -> None:
    for init in range(2):
        keys = load(folder / "predictions" / f"layer_0_random_{init}.npz")
        assert {key.seed for key in keys} == {init}
        assert {key.input for key in keys} == {"random_topology"}


def test_what_was_fitted_is_not_fitted_again(
    folder: Path, config: GraphProbeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = folder / "predictions" / "layer_2.npz"
    before = load(lost)
    lost.unlink()
    passes: list[set[str]] = []
    original = run_module.fit_all

    def fit_all(inputs: Any, *rest: Any) -> Any:
        passes.append({one.name for one in inputs})
        return original(inputs, *rest)

    monkeypatch.setattr(run_module, "fit_all", fit_all)
    monkeypatch.setattr(run_module.report, "write", lambda *_: None)
    monkeypatch.setattr(run_module.Scorer, "scores", lambda *_: [])
    run(config, folder)
    assert len(passes) == 1
    assert "topology" in passes[0]
    after = load(lost)
    assert after.keys() == before.keys()
    for key, predicted in before.items():
        np.testing.assert_allclose(after[key], predicted, atol=1e-9)


def test_the_headline_is_logged(
    folder: Path, config: GraphProbeConfig, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("INFO")
    log_headline(config, folder)
    assert len(caplog.messages) == 1 + 2 * 2
    assert caplog.messages[0].split()[:3] == ["target", "layer", "probe"]
    (tmp_path / "results.json").write_text(
        json.dumps(results(folder) | {"protocol": "paper"}), encoding="utf-8"
    )
    log_headline(config, tmp_path)
    assert "optimistic" in caplog.text


def test_figures_of_the_papers_protocol_say_that_they_are_optimistic(folder: Path) -> None:
    found = results(folder)
    for protocol in ("paper", "validation"):
        drawn = figures("tiny on words", found["scores"], found["gains"], protocol)
        said = ["optimistic" in figure.get_supxlabel() for figure in drawn.values()]
        assert said == [protocol == "paper"] * 10


def test_the_paper_splits_rows_and_chooses_on_the_test_part() -> None:
    groups = [str(row // 10) for row in range(100)]
    paper, ours = (Parts.of(groups, protocol, 0) for protocol in ("paper", "validation"))
    assert len(paper.train) == 80
    assert paper.validation is paper.test
    shared = {groups[n] for n in paper.train} & {groups[n] for n in paper.test}
    assert shared, "pieces of one document on both sides"
    parts = [{groups[n] for n in part} for part in (ours.train, ours.validation, ours.test)]
    assert sum(map(len, parts)) == len(set(groups))


def test_perplexity_and_loss_are_the_models(config: GraphProbeConfig) -> None:
    wanted = replace(config, study=replace(config.study, targets=["loss", "perplexity"]))
    examples = texts.read_texts(api.series(embeddings(config)), config)
    loss, perplexity = targets_of(wanted, examples)
    np.testing.assert_allclose(perplexity.values, perplexities(config))
    np.testing.assert_allclose(np.exp(loss.values), perplexity.values)


def test_numbers_are_scaled_by_the_training_part_and_classes_are_not() -> None:
    numbers, classes = Target("year", np.array([5.0, 7.0, 9.0])), Target("k", np.arange(3), ("a",))
    np.testing.assert_allclose(numbers.scaled(np.array([0, 1])), [0, 1, 2])
    np.testing.assert_array_equal(classes.scaled(np.array([0, 1])), [0, 1, 2])


def test_documents_are_read_no_further_than_asked_for(
    config: GraphProbeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = documents(config)[:10]

    def read() -> Iterator[Document]:
        yield from few
        pytest.fail("a stream, which may have no end, was read further")

    for module in (probe.data, probe.examples.explicit):
        monkeypatch.setattr(module, "load_documents", lambda _: Stream(read, "commit"))
    limited = replace(config, data=replace(config.data, limit=8))
    found = texts.read_texts(api.series(embeddings(limited)), limited)
    assert [one.name for one in found.documents] == [one.name for one in few[:8]]


def test_what_an_earlier_try_predicted_of_other_texts_is_refused(
    folder: Path, config: GraphProbeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "predictions", tmp_path / "predictions")
    changed = {"model": "as it was", "data": "another text"}
    monkeypatch.setattr(run_module, "fingerprints", lambda _: changed)
    (tmp_path / "predictions" / "made_of.json").write_text(json.dumps({**changed, "data": "a"}))
    with pytest.raises(UserError, match="was started with another data; overwrite=true starts"):
        run(config, tmp_path)


def test_a_part_with_nothing_to_tell_apart_is_refused(
    config: GraphProbeConfig, tmp_path: Path
) -> None:
    few = replace(config, data=replace(config.data, limit=4))
    with pytest.raises(
        UserError, match=r"'year' is the same in all \d+ texts of a part of the split"
    ):
        run(replace(few, study=replace(config.study, targets=["year"])), tmp_path)
    assert not list(tmp_path.iterdir())


@cache
def usual() -> GraphProbeConfig:
    return GraphProbeConfig(**vars(compose()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"targets": []}, r"study.targets=\[\] must name at least one target"),
        ({"targets": ["year", "year"]}, "each once"),
        (
            {"probes": ["mpl"]},
            "must be a list, each once, of ridge, linear, mlp, gcn; did you mean 'mlp'",
        ),
        ({"protocol": "their"}, "study.protocol=their must be one of validation, paper"),
        ({"densities": [0.1]}, "must include 1 for comparison"),
        ({"densities": [1.0, 2.0]}, r"2.0 in study.densities=\[1.0, 2.0\] is too large"),
        ({"seeds": 0}, "study.seeds=0 is too small; give 1 or more"),
        ({"repetitions": 10}, "study.repetitions=10 is too small; give 100 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], said: str) -> None:
    made = replace(usual(), study=replace(GraphProbe(), **settings))
    with pytest.raises(UserError, match=said):
        (api.check(made), check(made))


def test_a_layer_that_is_not_there_is_refused(config: GraphProbeConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"layer 7 is not in .*, whose layers are 0 to 2"):
        run(overlay(config, ["layers=[0,7]"]), tmp_path)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([{"a": 1}, {}], "the text b has no 'a'; it has perplexity, loss"),
        ([{"a": 1}, {"a": 1}], "'a' must be finite and vary over the texts"),
        ([{"a": "x"}, {"a": "y"}], "has 2, of which 'x' has 1"),
    ],
)
def test_targets_that_cannot_be_predicted_are_refused(
    labels: list[dict[str, Any]], said: str
) -> None:
    documents = [Document("ab"[n], "", labels=found) for n, found in enumerate(labels)]
    with pytest.raises(UserError, match=said):
        label_target("a", documents)


def test_labels_are_numbers_or_classes() -> None:
    documents = [
        Document(
            str(n), "", subject="uvw"[n % 3],
            labels={"true": n % 2 == 0, "year": n, "cell": f"{n / 2}"},
        )
        for n in range(9)
    ]  # fmt: skip
    year, true, subject = (label_target(name, documents) for name in ("year", "true", "subject"))
    np.testing.assert_array_equal(label_target("cell", documents).values, np.arange(9) / 2)
    assert (year.classes, true.classes, subject.classes) == ((), ("False", "True"), tuple("uvw"))
    assert true.values.tolist() == [1, 0] * 4 + [1]
    assert (year.outputs, subject.outputs) == (1, 3)
