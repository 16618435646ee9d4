"""Probes and coupling indices are what their definitions say, and at chance without effect."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from experiments.hallucination.answers import Answers, answer_documents, split
from experiments.hallucination.coupling import coupling_index, has_pairs
from experiments.hallucination.figures import probes_figure
from experiments.hallucination.findings import (
    Quantity,
    couple_source,
    probe_source,
    ranking_accuracy,
)
from experiments.hallucination.probes import PENALTIES, auc, probe
from experiments.hallucination.products import products_of_features, products_of_topologies
from experiments.hallucination.report import _constant, _differences, report
from experiments.hallucination.settings import Hallucination, HallucinationConfig, check
from experiments.hallucination.sources import Source
from experiments.statistics import split_by_group
from probe.api import UserError
from probe.cli import Frame, compose_job
from probe.models.place import ASSETS

FRAME = Frame(defaults=["layers=middle"])
QUESTIONS = 14
TRUE = ["the river is long", "water runs to the sea", "a year has many days"]
FALSE = ["the moon is made of green cheese", "rivers run up the hill", "no day has an hour"]


def standardised(seed: int, tokens: int, neurons: int) -> torch.Tensor:
    x = np.random.default_rng(seed).normal(size=(tokens, neurons))
    x -= x.mean(axis=0)
    return torch.from_numpy(x / np.linalg.norm(x, axis=0)).float()


def planted(seed: int, strength: float) -> tuple[Source, Answers]:
    """Give 60 questions four answers, whose kind moves their features by a strength."""
    generator = np.random.default_rng(seed)
    truth = np.tile([True, True, False, False], 60)
    features = generator.normal(size=(240, 30))
    features[:, :5] += strength * np.where(truth, 1, -1)[:, None]
    answers = Answers(truth, [f"q{n // 4}" for n in range(240)], [[1]] * 240)
    products = products_of_features(features)
    return Source("planted", None, control=False, coupled=True, products=products), answers


@pytest.mark.parametrize("entries", [1, 40, 10_000])
def test_products_and_correlations_are_those_of_the_flattened_topologies(entries: int) -> None:
    series = [standardised(seed, 8 + seed, 6) for seed in range(7)]
    found = products_of_topologies(series, entries)
    upper = np.triu_indices(6, k=1)
    flat = np.stack([np.corrcoef(z.numpy().astype(float).T)[upper] for z in series])
    np.testing.assert_allclose(found.gram, flat @ flat.T, atol=1e-6)
    members = np.array([5, 0, 3])
    np.testing.assert_allclose(found.correlations(members), np.corrcoef(flat[members]), atol=1e-5)


def test_a_constant_description_correlates_with_nothing() -> None:
    features = np.array([[0.1, 0.1, 0.1], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    found = products_of_features(features).correlations(np.arange(4))
    assert not found[0].any()
    assert not found[2].any()
    assert found[1, 3] == pytest.approx(np.corrcoef(features[1], features[3])[0, 1])


def test_a_probe_is_the_ridge_regression_that_does_best_on_the_texts_to_choose_by() -> None:
    generator = np.random.default_rng(0)
    features, truth = generator.normal(size=(60, 4)) + 3, generator.random(60) < 0.5
    features[:, 0] += truth
    train, choose, test = np.arange(30), np.arange(30, 45), np.arange(45, 60)
    found = probe(features @ features.T, truth[None], [train, choose, test])
    x, y = features - features[train].mean(axis=0), np.where(truth, 1.0, -1.0)
    best = -1.0
    for penalty in PENALTIES:
        ridge = penalty * (x[train] ** 2).sum() / 30 * np.eye(4)
        weights = np.linalg.solve(
            x[train].T @ x[train] + ridge, x[train].T @ (y[train] - y[train].mean())
        )
        scores = x @ weights + y[train].mean()
        pairs = product(scores[choose][truth[choose]], scores[choose][~truth[choose]])
        quality = float(np.mean([a > b for a, b in pairs]))
        if quality > best:
            best, wanted = quality, (penalty, scores[test])
    assert found.penalty == wanted[0]
    np.testing.assert_allclose(found.values[0], wanted[1], atol=1e-9)


def test_shuffled_labels_choose_a_penalty_of_their_own() -> None:
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(60, 40)), generator.random((8, 60)) < 0.5
    parts = [np.arange(30), np.arange(30, 45), np.arange(45, 60)]
    gram = features @ features.T
    alone = [probe(gram, one[None], parts) for one in labels]
    assert len({one.penalty for one in alone}) > 1
    together = probe(gram, labels, parts)
    assert together.penalty == alone[0].penalty
    wanted = np.concatenate([one.values for one in alone])
    np.testing.assert_allclose(together.values, wanted, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=25))
def test_auc_is_the_share_of_ranking_accuracy(entries: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in entries])
    truth = np.array([true for _, true in entries])
    pairs = [(a > b) + (a == b) / 2 for a, b in product(scores[truth], scores[~truth])]
    np.testing.assert_allclose(auc(scores, truth), np.mean(pairs) if pairs else np.nan)


def test_ranking_accuracy_are_counted_within_questions() -> None:
    scores = np.array([0.9, 0.1, 0.5, 0.2, 0.7, 0.4])
    truth = np.array([True, False, True, False, True, True])
    found = ranking_accuracy(scores, truth, ["a", "b", "a", "a", "b", "c"])
    np.testing.assert_allclose(found, [1.0, 1.0, np.nan, np.nan, np.nan, np.nan])


def brute_index(similarity: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    true, false = np.flatnonzero(truth), np.flatnonzero(~truth)
    within = [
        np.mean([similarity[i, j] for i, j in combinations(kind, 2)]) for kind in (true, false)
    ]
    across = np.mean([similarity[i, j] for i in true for j in false])
    return float(within[0] + within[1] - 2 * across)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 1000))
def test_the_coupling_index_is_its_definition(n_true: int, n_false: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    similarity = np.corrcoef(generator.normal(size=(n_true + n_false, 5)))
    labels = np.array([True] * n_true + [False] * n_false)
    truth = generator.permuted(np.tile(labels, (3, 1)), axis=1)
    wanted = [brute_index(similarity, one) for one in truth]
    np.testing.assert_allclose(coupling_index(similarity, truth), wanted, atol=1e-12)


def test_a_question_needs_two_answers_of_each_kind() -> None:
    assert has_pairs(np.array([True, False, True, False]))
    assert not has_pairs(np.array([True, False, False, False]))
    assert not has_pairs(np.array([True, True, True, False]))


def test_planted_answers_are_coupled_and_told_apart_and_shuffled_ones_are_not() -> None:
    source, answers = planted(0, 1.5)
    wanted = Hallucination(permutations=100, repetitions=50)
    parts = split_by_group(answers.questions, wanted.split, 0)
    shuffled = answers.shuffled(wanted.permutations, 1)
    row = probe_source(source, answers, parts, shuffled, wanted).row
    assert row["auc"] > 0.98
    assert row["accuracy"] > 0.9
    assert row["auc_low"] <= row["auc"] <= row["auc_high"]
    assert abs(row["auc_shuffled"] - 0.5) < 0.05
    assert row["auc_p"] == pytest.approx(1 / 101)
    index = couple_source(source, answers, wanted).row
    assert index["value"] > 0.9
    assert index["mean_c"] > 0.2
    assert abs(index["mean_c_null"]) < 0.02
    assert index["null_low"] < 0.5 < index["value"]
    assert index["p"] == pytest.approx(1 / 101)


def test_answers_that_differ_in_nothing_are_at_chance() -> None:
    wanted = Hallucination(permutations=20, repetitions=5)
    areas, shares = [], []
    for seed in range(5):
        source, answers = planted(seed, 0.0)
        parts = split_by_group(answers.questions, wanted.split, seed)
        areas.append(
            probe_source(source, answers, parts, answers.shuffled(2, 1), wanted).row["auc"]
        )
        index = couple_source(source, answers, wanted).row
        assert index["questions"] == 60
        shares.append(index["value"] - index["null"])
    # Five times 48 answers, and 300 questions: the standard errors are 0.04 and 0.03.
    assert abs(np.mean(areas) - 0.5) < 0.1
    assert abs(np.mean(shares)) < 0.08


def test_shuffled_labels_keep_the_number_of_true_answers_to_each_question() -> None:
    answers = Answers(
        np.array([True, False, False, True, True, False]), ["a", "a", "b", "b", "b", "a"], [[1]] * 6
    )
    found = answers.shuffled(50, 0)
    assert (found[:, [0, 1, 5]].sum(axis=1) == 1).all()
    assert (found[:, [2, 3, 4]].sum(axis=1) == 2).all()
    assert len({tuple(one) for one in found.tolist()}) > 3


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write questions with true and false answers; the last one has too few for pairs."""
    path = tmp_path_factory.mktemp("data") / "truth.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Question", "Correct Answers", "Incorrect Answers"])
        for number in range(QUESTIONS):
            question = (
                f"In the year {1900 + 7 * number}, what could people see by the river {number}?"
            )
            true = [f"{text} {number}" for text in TRUE[: 3 if number < QUESTIONS - 1 else 1]]
            writer.writerow([question, "; ".join(true), "; ".join(FALSE)])
    return path


@pytest.fixture(scope="module")
def composed(table: Path) -> Callable[..., HallucinationConfig]:
    def compose(*words: str) -> HallucinationConfig:
        usual = ["data=truthfulqa", f"data.path={table}", "runtime.device=cpu"]
        config = compose_job([*usual, *words], HallucinationConfig, FRAME)
        assert isinstance(config, HallucinationConfig)
        return config

    return compose


@pytest.fixture(scope="module")
def done(
    composed: Callable[..., HallucinationConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("done")
    report(composed("study.inits=1", "study.repetitions=50", "study.permutations=20"), folder)
    return folder, json.loads((folder / "results.json").read_text())


def test_the_study_leaves_every_source_with_its_controls(done: tuple[Path, dict[str, Any]]) -> None:
    folder, results = done
    named = [(row["source"], row["layer"], row["control"]) for row in results["probes"]]
    assert named == [
        ("topology", 3, False), ("mean activation", 3, False), ("last token", 3, False),
        ("topology, token embeddings", None, True), ("bag of answer tokens", None, True),
        ("length", None, True), ("topology, random init 0", 3, True),
    ]  # fmt: skip
    assert results["questions"] == QUESTIONS
    assert results["questions_without_coupling_index"] == 1
    assert results["answers"] == 6 * QUESTIONS - 2
    assert sum(results["parts"].values()) == results["answers"]
    for name in ("probes", "coupling"):
        with (folder / f"{name}.csv").open() as stream:
            assert [row["source"] for row in csv.DictReader(stream)] == [
                row["source"] for row in results[name]
            ]
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    compared = results["topology_less_best_control"]
    assert [line["what"] for line in compared] == [
        "AUC", "accuracy", "share of questions with C > 0",
    ]  # fmt: skip


@pytest.mark.parametrize(("auc_of_control", "best"), [(0.7, "length"), (0.3, "constant")])
def test_the_best_control_is_at_least_a_constant_answer(auc_of_control: float, best: str) -> None:
    groups = ["a", "a", "b"]

    def entry(source: str, value: float) -> tuple[dict[str, Any], Quantity]:
        row = {"source": source, "layer": None, "control": source != "topology"}
        return row, Quantity(lambda _: value, groups, {"value": value})

    entries = [entry("constant", 0.5), entry("topology", 0.8), entry("length", auc_of_control)]
    [line] = _differences("AUC", entries, Hallucination(repetitions=5))
    assert line["best_control"] == best
    assert line["difference"] == pytest.approx(0.8 - max(0.5, auc_of_control))
    assert line["questions"] == 2


def test_a_constant_answer_is_that_of_most_training_answers() -> None:
    truth = np.array([True, True, False, True, False, False])
    answers = Answers(truth, list("aabbcc"), [[1]] * 6)
    found = _constant(answers, [np.array([0, 1, 2]), np.array([3]), np.array([3, 4, 5])])
    assert found.row["value"] == pytest.approx(1 / 3)
    assert found.of(np.array([0, 0, 1])) == pytest.approx(2 / 3)
    assert found.groups == ["b", "c", "c"]


def test_a_source_is_in_the_same_row_of_every_panel(done: tuple[Path, dict[str, Any]]) -> None:
    figure = probes_figure("tiny on words", done[1]["probes"], 0.5)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


@pytest.mark.parametrize(("source", "state"), [("topology", 4), ("topology, token embeddings", 0)])
def test_the_coupling_indices_are_those_of_plain_transformers(
    done: tuple[Path, dict[str, Any]],
    composed: Callable[..., HallucinationConfig],
    source: str,
    state: int,
) -> None:
    model = AutoModel.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    upper = np.triu_indices(model.config.hidden_size, k=1)
    flat: dict[str, list[NDArray[np.float64]]] = {}
    kinds: dict[str, list[bool]] = {}
    for document in answer_documents(composed()).values():
        ids = torch.tensor([tokenizer(document.text)["input_ids"]])
        with torch.inference_mode():
            hidden = model(ids, output_hidden_states=True).hidden_states[state][0]
        assert document.group is not None
        flat.setdefault(document.group, []).append(np.corrcoef(hidden.double().T)[upper])
        kinds.setdefault(document.group, []).append(bool(document.labels["correct"]))
    wanted = [
        brute_index(np.corrcoef(np.stack(rows)), np.array(kinds[question]))
        for question, rows in flat.items()
        if 2 <= sum(kinds[question]) <= len(rows) - 2
    ]
    [found] = [row for row in done[1]["coupling"] if row["source"] == source]
    np.testing.assert_allclose(found["indices"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["layers=cross"], "layers=cross joins the neurons of several layers"),
        (
            ["study.split=[0.5,0.5]"],
            "must be 3 fractions (training, validation, test) that sum to 1",
        ),
        (
            ["study.split=[0.5,0.4,0.3]"],
            "must be 3 fractions (training, validation, test) that sum to 1",
        ),
        (["study.split=[1.0,0.5,-0.5]"], "-0.5 in study.split=[1.0, 0.5, -0.5] is too small"),
        (["study.permutations=0"], "study.permutations=0 is too small; give 1 or more"),
        (["study.inits=-1"], "study.inits=-1 is too small; give 0 or more"),
        (["study.random_inits=1"], "study.random_inits is called study.inits now"),
    ],
)
def test_mistakes_are_told_before_any_work(
    composed: Callable[..., HallucinationConfig], words: list[str], said: str
) -> None:
    with pytest.raises(UserError) as error:
        check(composed(*words))
    assert said in str(error.value)


def test_data_without_true_and_false_answers_are_refused(tmp_path: Path) -> None:
    config = compose_job(["data=sample", "runtime.device=cpu"], HallucinationConfig, FRAME)
    assert isinstance(config, HallucinationConfig)
    with pytest.raises(UserError, match="data=sample does not have both true and false answers"):
        report(config, tmp_path)


def test_too_few_questions_are_refused() -> None:
    truth = np.array([True, True, True, False])
    answers = Answers(truth, ["a", "b", "c", "d"], [[1]] * 4)
    with pytest.raises(UserError, match="the answers to 4 questions are too few"):
        split(answers, [0.5, 0.25, 0.25], 0)


@pytest.mark.processes
def test_help_needs_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--help']\n"
        "try: runpy.run_module('experiments.hallucination', run_name='__main__')\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Detect false answers from topologies" in done.stdout
    assert "study.permutations" in done.stdout
