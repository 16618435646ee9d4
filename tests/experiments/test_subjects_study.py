"""Subjects are compared as dense topologies would be, on equal texts, beside their controls."""

import csv
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

import experiments.subjects.covariances as covariances_module
from experiments.subjects.classification import Guesses, guess, majority
from experiments.subjects.covariances import bag_covariances, mean_strengths, topology_covariances
from experiments.subjects.figures import accuracy_bars, sweep_curves
from experiments.subjects.reading import (
    BAG,
    EMBEDDING,
    PROMPT,
    QUESTION,
    Text,
    read,
)
from experiments.subjects.settings import Subjects, SubjectsConfig, Sweep, check
from experiments.subjects.similarity import pattern, similarity, subject_parts
from experiments.subjects.sweep import Change, Speaker
from experiments.subjects.task import CONSTANT, _accuracy, run
from probe import api
from probe.api import UserError, compose
from probe.models.place import ASSETS

composed = cache(compose)
WORDS = ("data=sample", "data.split=questions", "layers=[1,5]", "tracking=none")
FEW: dict[str, Any] = {
    "subjects": ["mathematics", "law"], "tokens": 40, "question_tokens": 5, "splits": 2,
    "permutations": 9, "repetitions": 20, "controls": 1, "values": [0.0, 2.0],
    "sweep_examples": 4,
}  # fmt: skip


def configured(*words: str, **settings: Any) -> SubjectsConfig:
    plain = {field.name: getattr(composed(*words), field.name) for field in fields(api.Config)}
    return SubjectsConfig(**plain, study=Subjects(**settings))


def drawn(n_texts: int, n_tokens: int, n_neurons: int, coupled: int | None, seed: int) -> Tensor:
    """Series of which one neuron more, or none, goes with neuron 0."""
    x = np.random.default_rng(seed).normal(size=(n_texts, n_tokens, n_neurons))
    if coupled is not None:
        x[..., coupled] += 2 * x[..., 0]
    return torch.stack([api.Factor.of(torch.from_numpy(text)).series for text in x])


def dense(series: Tensor) -> NDArray[np.float64]:
    """Entries off the diagonal of every text's correlation matrix, a row a text."""
    n = series.shape[2]
    off = ~np.eye(n, dtype=bool)
    return np.array([(z.T @ z)[off] for z in series.double().numpy()])


@pytest.mark.parametrize("shape", [(5, 7, 4), (3, 12, 9)])
def test_covariances_are_those_of_dense_topologies(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covariances_module, "_BLOCK", 30)  # some rows of the topologies at a time
    series = drawn(*shape, coupled=1, seed=0)
    series[0, :, 2] = 0  # a constant neuron
    expected = np.cov(dense(series), bias=True)
    np.testing.assert_allclose(topology_covariances(series), expected, atol=1e-7)


def test_bags_count_every_token() -> None:
    tokens = [np.array(ids) for ids in ([1, 1, 4], [4, 9, 9], [1, 4, 9])]
    expected = np.cov([[2, 1, 0], [0, 1, 2], [1, 1, 1]], bias=True)
    np.testing.assert_allclose(bag_covariances(tokens), expected)


def test_similarities_are_correlations_of_dense_means() -> None:
    series = torch.cat([drawn(6, 20, 5, 1, seed=0), drawn(6, 20, 5, 2, seed=1)])
    subjects, groups = ["a"] * 6 + ["b"] * 6, [str(text) for text in range(12)]
    found = similarity(topology_covariances(series), subjects, groups, splits=1, seed=3)
    r = dense(series)
    whole = np.corrcoef([r[:6].mean(axis=0), r[6:].mean(axis=0)])
    np.testing.assert_allclose(found.whole, whole, atol=1e-6)
    one, other = subject_parts(subjects, groups, [0.5, 0.5], 3)
    assert sorted([*one, *other]) == list(range(12))
    halves = [r[part[part < 6]].mean(axis=0) for part in (one, other)]
    assert found.halves[0, 0] == pytest.approx(np.corrcoef(halves)[0, 1], abs=1e-6)
    assert found.ceiling > found.between_halves


def test_planted_subjects_are_guessed_and_equal_ones_are_not() -> None:
    subjects, groups = ["a"] * 40 + ["b"] * 40, [str(text // 2) for text in range(80)]
    train, test = subject_parts(subjects, groups, [0.5, 0.5], 0)
    assert not {groups[text] for text in train} & {groups[text] for text in test}
    for coupled, planted in (((1, 2), True), ((None, None), False)):
        series = torch.cat([drawn(40, 30, 6, c, seed) for seed, c in enumerate(coupled)])
        covariances = topology_covariances(series)
        found = guess(covariances, subjects, groups, train, test, permutations=99, seed=0)
        assert np.mean(found.null) == pytest.approx(0.5, abs=0.15)
        assert (found.accuracy > 0.95) == planted
        assert (found.p <= 0.02) == planted


def test_a_constant_prediction_is_right_where_the_most_frequent_subject_is() -> None:
    subjects = ["b", "a", "b", "a", "b", "a"]
    found = majority(subjects, np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert found.right.tolist() == [False, True, False]


def test_the_best_control_is_at_least_a_constant_prediction() -> None:
    right = {"layer 1": [1, 1, 1, 0], EMBEDDING: [0, 0, 1, 0], BAG: [0, 0, 0, 0],
             CONSTANT: [1, 1, 0, 0]}  # fmt: skip
    guesses = {name: Guesses(np.array(one, bool), [0.5]) for name, one in right.items()}
    groups = ["a", "a", "b", "c"]
    row = _accuracy(guesses, "layer 1", groups, Subjects(repetitions=20))
    assert (row["best_control"], row["documents"]) == ("constant", 3)
    assert row["more_than_best"] == row["more_than_constant"] == pytest.approx(0.75 - 0.5)
    assert row["more_than_best_low"] <= row["more_than_best"] <= row["more_than_best_high"]
    assert row["more_than_embeddings"] == pytest.approx(0.75 - 0.25)
    assert _accuracy(guesses, EMBEDDING, groups, Subjects(repetitions=5))["best_control"] == (
        "constant"
    )


def test_patterns_agree_where_the_same_subjects_are_alike() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 3))
    alike = points @ points.T
    other = rng.normal(size=(6, 3))
    same = pattern(alike, 2 * alike + 1, permutations=199, seed=0)
    unlike = pattern(alike, other @ other.T, permutations=199, seed=0)
    assert same is not None
    assert unlike is not None
    assert same[0] == pytest.approx(1)
    assert same[1] <= 0.02 < unlike[1]
    assert pattern(alike[:3, :3], alike[:3, :3], permutations=9, seed=0) is None


def test_strengths_are_those_of_the_mean_topology() -> None:
    series = drawn(4, 15, 6, coupled=3, seed=0)
    texts = [Text("", "", "", None, 0, np.zeros(1, int), series={("x", PROMPT): z}) for z in series]
    mean = np.abs(np.mean([z.T @ z for z in series.double().numpy()], axis=0))
    np.testing.assert_allclose(
        mean_strengths(texts, "x", PROMPT), mean.sum(axis=0) - np.diag(mean), atol=1e-6
    )


@pytest.fixture(scope="module")
def texts() -> list[Text]:
    config = configured(*WORDS, **FEW)
    return read(check(config), config.study, skip_first=1)


def test_texts_are_equally_many_and_equally_long(texts: list[Text]) -> None:
    subjects = [text.subject for text in texts]
    assert subjects.count("mathematics") == subjects.count("law") == len(texts) / 2 >= 4
    for text in texts:
        assert {part: len(ids) for part, ids in text.counted.items()} == {PROMPT: 40, QUESTION: 5}
        assert text.series["layer 1", QUESTION].shape == (5, 128)


def test_what_counts_as_the_question_is_the_question(texts: list[Text]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    for text in texts:
        prompt, ids = tokenizer.decode(text.tokens), text.tokens.tolist()
        question = prompt[len("Question: ") : prompt.rfind("\nA) ")]
        assert question.startswith(tokenizer.decode(text.counted[QUESTION]).strip())
        assert text.counted[PROMPT].tolist() == ids[1:41]


def test_embeddings_are_those_of_the_tokens_that_count(texts: list[Text]) -> None:
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny")
    embedded = model.get_input_embeddings().weight.detach()[torch.tensor(texts[0].counted[PROMPT])]
    z = texts[0].series["embeddings", PROMPT].double().numpy()
    np.testing.assert_allclose(z.T @ z, np.corrcoef(embedded.double().numpy().T), atol=1e-5)


def test_a_change_reaches_the_next_token(texts: list[Text]) -> None:
    """In the last block only the final norm and the head come after it."""
    config = composed(*WORDS)
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float32)
    layer = model.config.num_hidden_layers - 1
    prompts = [text.tokens for text in texts[:3]]
    speaker = Speaker(config, layer, prompts)
    found = speaker.next_tokens(Change(7, 1.5, Sweep.add))
    fixed = speaker.next_tokens(Change(7, 1.5, Sweep.set))
    before: list[Tensor] = []
    model.model.norm.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
    for number, ids in enumerate(prompts):
        with torch.no_grad():
            model(torch.tensor(ids)[None])
            added, put = before.pop()[0, -1].repeat(2, 1)
            added[7] += 1.5
            put[7] = 1.5
            expected = model.lm_head(model.model.norm(torch.stack([added, put])))
        torch.testing.assert_close(found[number], expected[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(fixed[number], expected[1], rtol=1e-4, atol=1e-4)


def test_controls_of_a_sweep_are_named_and_told_apart_and_accuracy_has_its_chance() -> None:
    rows = [
        {"neuron": neuron, "kind": kind, "value": value, "chance": 0.25}
        | {
            f"{name}{end}": 0.3 for name in ("kl", "changed_top", "accuracy")
            for end in ("", "_low", "_high")
        }
        for neuron, kind in [(7, "chosen"), (8, "chosen"), *((n, "control") for n in range(4))]
        for value in (-1.0, 1.0)
    ]  # fmt: skip
    figure = sweep_curves("tiny on sample", rows, "sd")
    for axes in figure.axes:
        lines = [line for line in axes.lines if "chance" not in str(line.get_label())]
        styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
        assert len(styles) == len({line.get_label() for line in lines}) == 6
    accuracy = figure.axes[-1]
    assert accuracy.get_ylabel() == "accuracy (share of questions)"
    assert accuracy.lines[-1].get_ydata() == [0.25, 0.25]
    assert accuracy.get_ylim()[0] == 0
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][2:] == [
        "control 0", "control 1", "control 2", "control 3", "chance",
    ]  # fmt: skip


def test_bars_of_accuracy_stand_against_permuted_labels_and_a_constant_prediction() -> None:
    row = {"part": "prompt", "what": "layer 1", "accuracy": 0.4, "accuracy_low": 0.2}
    row |= {"accuracy_high": 0.6, "null_95": 0.3, "constant": 0.125}
    (axes,) = accuracy_bars("tiny on sample", [row, row | {"what": "embeddings"}]).axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["95 % of permuted labels", "constant prediction"]
    assert [0.125, 0.125] in [list(line.get_ydata()) for line in axes.lines]
    assert axes.get_ylabel() == "accuracy (share of texts)"


@pytest.mark.usefixtures("drawn_figures")
def test_the_study_leaves_tables_and_figures(tmp_path: Path) -> None:
    facts = run(configured(*WORDS, **FEW), tmp_path)
    assert facts["subjects"] == ["law", "mathematics"]
    with (tmp_path / "subjects.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected = [
        (part, what)
        for part in (PROMPT, QUESTION)
        for what in ("layer 1", "layer 5", "embeddings", "bag of tokens")
    ]
    assert [(row["part"], row["what"]) for row in rows] == expected
    with (tmp_path / "sweep.csv").open(newline="") as stream:
        swept = list(csv.DictReader(stream))
    assert [(row["kind"], row["value"]) for row in swept] == [
        ("chosen", "0.0"), ("chosen", "2.0"), ("control", "0.0"), ("control", "2.0")
    ]  # fmt: skip
    for row in swept:
        assert float(row["kl"]) == pytest.approx(0, abs=1e-9) if row["value"] == "0.0" else True
        assert float(row["kl"]) > 1e-6 or row["value"] == "0.0"
    for name in ("layer_1_prompt", "bag_of_tokens_question", "classification", "sweep"):
        assert (tmp_path / f"figures/{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ((), {"tokens": 3}, "study.tokens=3 is too small; give 4 or more"),
        ((), {"examples": 2}, "study.examples=2 is too small"),
        (
            (),
            {"split": [1.0, 0.0]},
            r"1\.0 in study\.split=\[1\.0, 0\.0\] is too large; give more than 0 and less than 1",
        ),
        ((), {"values": []}, r"study.values=\[\] must be numbers"),
        ((), {"values": [0.0, float("nan")]}, r"nan in study.values=\[0.0, nan\] is not a number"),
        (("data.cut=tokens",), {}, "leave data.cut and model.chat out"),
        (("layers=cross",), {}, "layers=cross joins the neurons of several layers"),
        (("init=random",), {}, "init=random has no trained language-model head"),
        (("data=wikitext",), {}, "this data set has no subjects"),
    ],
)
def test_mistakes_are_told_before_any_work(
    words: tuple[str, ...], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        (api.check(made := configured(*words, **settings)), check(made))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tokens": 5000}, "two subjects need 4 texts each \\(or study.examples\\) of 5000 tokens"),
        ({"neurons": [128]}, r"study.neurons=\[128\] must be between 0 and 127"),
    ],
)
def test_mistakes_that_the_model_shows(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        run(configured(*WORDS, **(FEW | settings)), tmp_path)
