"""The study on the bundled model: its files agree with each other, and mistakes are one line."""

import csv
import logging
import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.neuron_graphs import dealing, progress
from experiments.neuron_graphs.asks import Algorithm
from experiments.neuron_graphs.building import Builder
from experiments.neuron_graphs.choosing import choose, spread
from experiments.neuron_graphs.metrics import match
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.records import Record
from experiments.neuron_graphs.settings import NeuronGraphs, NeuronGraphsConfig, check
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.task import run
from experiments.neuron_graphs.tokens import Tokens
from experiments.neuron_graphs.unit import Unit
from probe import api
from probe.api import UserError
from probe.api.parts import Ranks, run_ranks
from probe.cli import compose_job
from tests.experiments.neuron_graphs.oracles import write_texts
from tests.run_folders import save_run
from tests.tiny_models import save_tiny
from tests.topologies import topology_of

composed = cache(lambda *words: compose_job(list(words), NeuronGraphsConfig))
UNITS = ["1:3", "1:4-", "4:7", "4:8"]


@pytest.fixture(scope="module", autouse=True)
def texts(working_directory: None) -> None:
    write_texts(Path("texts.jsonl"))


def configured(*words: str, **settings: Any) -> NeuronGraphsConfig:
    plain = composed(
        "data=text", "data.path=texts.jsonl", "site=mlp", "tracking=none", "runtime.device=cpu",
        *words,
    )  # fmt: skip
    config = {field.name: getattr(plain, field.name) for field in fields(api.Config)}
    return NeuronGraphsConfig(
        **config, study=NeuronGraphs(**({"units": UNITS, "texts": 8, "control": 2} | settings))
    )


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("graphs")
    run(configured(), made)
    return made


def test_every_unit_has_a_row(folder: Path) -> None:
    rows = read_rows(folder / "scores.csv")
    assert list(rows[0]) == [
        "layer", "neuron", "sign", "f1", "precision", "recall", "correlation", "support",
        "token_f1", "ngram_f1", "false_per_million", "reason",
    ]  # fmt: skip
    assert [(row["layer"], row["neuron"], row["sign"]) for row in rows] == [
        ("1", "3", "+"), ("1", "4", "-"), ("4", "7", "+"), ("4", "8", "+"),
    ]  # fmt: skip
    control = read_rows(folder / "control.csv")
    assert list(control[0]) == list(rows[0])
    assert [row["layer"] for row in control] == ["1", "4"]
    summary = read_rows(folder / "summary.csv")
    assert [(row["model"], row["layer"]) for row in summary] == [
        (model, layer) for model in ("given", "random") for layer in ("1", "4", "all")
    ]
    f1 = [float(row["f1"]) for row in rows if row["f1"] != "" and row["support"] != "0"]
    assert float(summary[2]["f1"]) == pytest.approx(np.mean(f1))
    names = {file.name for file in folder.iterdir()}
    assert {"graphs.sqlite", "control.sqlite", "page", "figures"} <= names
    assert "scan" not in names


def test_scores_are_those_of_the_stored_graphs_on_the_stored_texts(folder: Path) -> None:
    with Store.read(folder / "graphs.sqlite") as store:
        records = list(store.records())
        assert store.header.preset == "consistent"
    assert any(len(record.graph or []) for record in records)
    for record in records:
        assert record.graph is not None
        held_out = [text for text in record.texts if text.held_out]
        assert len(record.texts) == 8
        assert len(held_out) == 4
        assert len({text.document for text in record.texts}) == 8
        predict = Predictor(record.graph)
        said = np.concatenate([predict(text.tokens) >= 0.5 for text in held_out])
        true = np.concatenate([text.activations / record.largest >= 0.5 for text in held_out])
        assert match(true, said).f1 == pytest.approx(record.scores.graph.f1, nan_ok=True)
        assert record.scores.support == true.sum()
        assert record.cost.rows > 0
        assert record.cost.calls > 0
        assert 0 <= record.cost.accepted <= record.cost.proposed


def test_an_interrupted_study_goes_on_and_failures_are_rows(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build, built = Builder.build, list[Unit]()

    def counts(self: Builder, unit: Unit) -> Algorithm[Record]:
        built.append(unit)
        if unit == Unit(4, 7):
            raise ValueError("a curious text")
        return (yield from build(self, unit))

    def interrupts(self: Builder, unit: Unit) -> Algorithm[Record]:
        if unit.layer == 4:
            raise KeyboardInterrupt
        return (yield from build(self, unit))

    monkeypatch.setattr(dealing, "WRITTEN", 1)
    monkeypatch.setattr(dealing, "TOGETHER", 1)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(Builder, "build", interrupts)
    with pytest.raises(KeyboardInterrupt):
        run(configured(), tmp_path)
    monkeypatch.setattr(Builder, "build", counts)
    monkeypatch.setattr("experiments.neuron_graphs.scanning.read", None)  # the scan is there
    with caplog.at_level(logging.INFO), pytest.raises(TypeError):
        run(configured(), tmp_path)  # the control is not scanned yet
    assert built == [Unit(4, 7), Unit(4, 8)]
    assert "2 of 4 neurons are in" in caplog.text
    assert "4:7 has no graph: a curious text" in caplog.text
    assert re.search("1 of 2 neurons have their graph, [1-9][0-9]* passes so far", caplog.text)
    monkeypatch.undo()
    rows = read_rows(tmp_path / "scores.csv")
    assert [row["reason"] for row in rows if row["neuron"] == "7"] == ["failed: a curious text"]
    others = [row for row in read_rows(folder / "scores.csv") if row["neuron"] != "7"]
    assert [row for row in rows if row["neuron"] != "7"] == others


def test_what_several_ranks_have_made_is_put_together(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was written before an interruption."""

    def dealt(name: str, payload: bytes, *_: object) -> dict[str, Any]:
        if not name.endswith("dealing:build"):
            return run_ranks(name, payload, 1, "cpu")
        for index in range(3):
            dealing.build(payload, Ranks(index, 3, torch.device("cpu")))
            if index == 1 and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
        return {}

    interrupted = list[bool]()
    monkeypatch.setattr(dealing, "run_ranks", dealt)
    monkeypatch.setattr(dealing.signal, "signal", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        run(configured(), tmp_path)
    assert {file.name for file in tmp_path.glob("*.sqlite")} == {
        "graphs.sqlite", "graphs.rank0.sqlite", "graphs.rank1.sqlite"
    }  # fmt: skip
    run(configured(), tmp_path)
    for name in ("scores.csv", "control.csv", "summary.csv", "pairs.csv"):
        assert read_rows(tmp_path / name) == read_rows(folder / name), name
    assert not list(tmp_path.glob("*.rank*"))
    with (
        Store.read(tmp_path / "graphs.sqlite") as store,
        Store.read(folder / "graphs.sqlite") as other,
    ):
        for one, two in zip(store.records(), other.records(), strict=True):
            assert (one.unit, one.largest) == (two.unit, two.largest)
            assert one.graph is not None
            assert two.graph is not None
            assert one.graph.to_json() == two.graph.to_json()
            for mine, theirs in zip(one.texts, two.texts, strict=True):
                np.testing.assert_array_equal(mine.activations, theirs.activations)


@pytest.mark.processes
def test_two_processes_make_what_one_makes(folder: Path, tmp_path: Path) -> None:
    run(configured("launch.num_processes=2"), tmp_path)
    assert read_rows(tmp_path / "scores.csv") == read_rows(folder / "scores.csv")


def test_a_study_of_failures_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Algorithm[Record]:
        raise ValueError("nothing works")
        yield

    monkeypatch.setattr(Builder, "build", fails)
    with pytest.raises(UserError, match="no graph of the given model could be made; the first fai"):
        run(configured(units="1:3"), tmp_path)


def test_what_is_dead_or_in_one_text_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.neuron_graphs.scanning import Scan

    texts = Scan.texts
    kept = {Unit(1, 3): 0, Unit(4, 7): 1}
    monkeypatch.setattr(Scan, "texts", lambda self, unit: texts(self, unit)[: kept.get(unit, 8)])
    run(configured(), tmp_path)
    reasons = {row["neuron"]: row for row in read_rows(tmp_path / "scores.csv")}
    assert reasons["3"]["reason"] == "dead: its activation is nowhere positive"
    assert reasons["7"]["reason"] == "one text: nothing is left to test a graph on"
    assert reasons["3"]["f1"] == reasons["7"]["f1"] == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "paper_code"},
        pytest.param(
            {"preset": "paper_text", "substitutes": "embeddings"}, marks=pytest.mark.campaign
        ),
        pytest.param(
            {"substitutes": "none", "wildcard_pivot": True, "normalise": "casefold_strip"},
            marks=pytest.mark.campaign,
        ),
    ],
)  # fmt: skip
def test_other_choices_run(settings: dict[str, Any], tmp_path: Path) -> None:
    run(configured(units=["1:3", "4:7"], control=1, texts=4, **settings), tmp_path)
    with Store.read(tmp_path / "graphs.sqlite") as store:
        assert store.header.preset == settings.get("preset", "consistent")
        for record in store.records():
            assert record.reason.partition(":")[0] in ("", "long context", "no path", "untested")
            assert (record.cost.proposed > 0) == (settings.get("substitutes") != "none")


def chosen(units: Any, **settings: Any) -> list[str]:
    return [str(unit) for unit in choose(configured(units=units, **settings))]


def test_the_grammar_of_units() -> None:
    assert chosen("3:17") == ["3:17"]
    assert chosen("3:17-") == ["3:17-"]
    assert chosen(["3:17", "3:17", "0:2-"]) == ["0:2-", "3:17"]
    assert chosen("3:17", signs=["+", "-"]) == ["3:17-", "3:17"]
    assert chosen("3:17+", signs=["-"]) == ["3:17"]
    assert chosen(4) == chosen("4") == [f"4:{n}" for n in range(384)]
    assert len(chosen("all")) == 6 * 384
    assert len(chosen("all", signs=["+", "-"], per_layer=5)) == 6 * 5
    drawn = chosen(["1", "2:3"], per_layer=3, seed=1)
    assert len(drawn) == 4
    assert drawn == chosen(["1", "2:3"], per_layer=3, seed=1) != chosen(["1", "2:3"], per_layer=3)
    residual = api.overlay(configured(units="4"), ["site=residual"])
    assert len(choose(residual)) == 128
    units = [Unit(layer, n) for layer in range(3) for n in range(9)]
    assert [unit.layer for unit in spread(units, 7, 0)] == [0, 0, 0, 1, 1, 2, 2]


def test_hubs_of_a_run_are_units(tmp_path: Path) -> None:
    matrix = np.full((384, 384), 0.1) + 0.9 * np.eye(384)
    hubs = np.arange(100, 122)  # 5.6 % of 384
    matrix[np.ix_(hubs, hubs)] = 0.8
    np.fill_diagonal(matrix, 1)
    layer = topology_of(matrix, name="layer_2", layers=(2,), site="mlp")
    run_folder = save_run(tmp_path, layer)
    assert chosen(f"hubs:{run_folder}") == [f"2:{n}" for n in range(100, 122)]
    assert len(chosen([f"hubs:{run_folder}", "3:1"], signs=["+", "-"])) == 46
    wrong = {
        "which read site=residual, and here site=mlp is read": {"site": "residual"},
        "whose all_layers joins layers; give a run with layers=each": {
            "site": "mlp", "name": "all_layers", "layers": (2, 3),
        },
        "has layer 12, and the layers of tiny are 0 to 5": {"site": "mlp", "layers": (12,)},
        "whose layer 2 has 9 neurons, and that of tiny has 384": {
            "site": "mlp", "layers": (2,), "matrix": np.eye(9, dtype=np.float32),
        },
    }  # fmt: skip
    for number, (message, changed) in enumerate(wrong.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_run(folder, replace(layer, **changed))
        with pytest.raises(UserError, match=message):
            chosen(f"hubs:{folder}")


MISTAKES = {
    "x": "study.units has 'x'; give all, layer:neuron",
    "3:999": "study.units has 3:999, and layer 3 of tiny has the neurons 0 to 383 at site=mlp",
    "9:1": "study.units has layer 9, and the layers of tiny are 0 to 5",
    "7": "study.units has layer 7, and the layers of tiny are 0 to 5",
    "hubs:nowhere": "nowhere is not a finished run",
}


@pytest.mark.parametrize("units", MISTAKES)
def test_mistaken_units_are_refused(units: str) -> None:
    with pytest.raises(UserError, match=MISTAKES[units]):
        check(configured(units=[units]))


def test_other_mistakes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.units=\[\] names no neurons; give all"):
        check(configured(units=[]))
    with pytest.raises(UserError, match=r"study\.signs is empty; give \[\+\]"):
        check(configured(signs=[]))
    with pytest.raises(UserError, match="site=embedding reads the tokens themselves"):
        check(replace(configured(), site=api.Site.embedding))
    with pytest.raises(UserError, match=r"made from some documents .* there is 1 document"):
        run(configured("data.limit=1"), tmp_path)
    with pytest.raises(UserError, match=r"study\.mask='a b c' is \d tokens of tiny; give one"):
        run(configured(mask="a b c"), tmp_path)


def test_a_vocabulary_without_a_mask_token_says_what_masks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.neuron_graphs import tokens as module

    model = configured().model
    with caplog.at_level(logging.INFO):
        tokens = Tokens.of(model, None, "none")
        tokens.tell_mask()
    assert "has no mask token; ' _' masks others (study.mask= gives another)" in caplog.text
    assert tokens.mask_text == " _"
    assert tokens.special.tolist() == [True] + [False] * 2047
    given = Tokens.of(model, " the", "none")
    assert given.mask_text == given.vocabulary.labels[given.mask] == " the"
    monkeypatch.setattr(module, "_BLANK", "no single token")
    assert Tokens.of(model, None, "none").mask_text == "<|endoftext|>", "padding"


def test_a_model_that_reads_both_ways_is_refused(tmp_path: Path) -> None:
    path = save_tiny("bert", tmp_path / "bert")
    config = configured(
        "model=local", f"model.path={path}", "data.cut=tokens", "data.window=64", units="1:3",
        substitutes="none",
    )  # fmt: skip
    with pytest.raises(UserError, match="BertModel also reads what is behind a token"):
        run(config, tmp_path)


def test_a_store_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "study")
    write_texts(Path("others.jsonl"), documents=6)
    with pytest.raises(UserError, match=r"graphs\.sqlite"):
        run(configured("data.path=others.jsonl"), tmp_path / "study")
