"""Matching finds what was planted, is at chance elsewhere, and reads the same texts twice."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

import experiments.matching.texts as texts_module
from experiments.gcn import Gcn
from experiments.matching.assignment import (
    assign,
    shuffled_entries,
    spectra_distance,
)
from experiments.matching.contrastive import contrastive_loss, fit
from experiments.matching.gauc import gauc_by_text, length_similarity, permuted_gauc
from experiments.matching.report import report
from experiments.matching.settings import Matching, MatchingConfig, both, check
from experiments.matching.texts import Side, load_texts, read
from probe.api import Factor, UserError, compose
from probe.cli import Frame, compose_job
from probe.models.place import ASSETS
from tests.tiny_models import save_tiny

NEURONS, TOKENS = 10, 40
composed_words = cache(compose)


@pytest.fixture(autouse=True, scope="module")
def _composed_once() -> Iterator[None]:
    """Compose the same words once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts_module, "compose", composed_words)
        yield


def composed(*words: str) -> MatchingConfig:
    config = compose_job(
        ["runtime.device=cpu", *words], MatchingConfig, Frame(defaults=["layers=middle"])
    )
    assert isinstance(config, MatchingConfig)
    return config


def series(generator: np.random.Generator, neurons: int = NEURONS) -> torch.Tensor:
    """Standardise series whose correlations are of their own."""
    x = generator.normal(size=(TOKENS, 3)) @ generator.normal(size=(3, neurons))
    x += 0.3 * generator.normal(size=x.shape)
    x -= x.mean(axis=0)
    return torch.from_numpy(x / np.linalg.norm(x, axis=0)).float()


def side(seed: int, texts: int) -> Side:
    generator = np.random.default_rng(seed)
    return Side(str(seed), {number: series(generator) for number in range(texts)})


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_gauc_is_the_share_of_others_below(n: int, seed: int) -> None:
    similarity = np.random.default_rng(seed).integers(0, 5, size=(n, n)).astype(float)
    wanted = []
    for i in range(n):
        row = [(similarity[i, j] < similarity[i, i]) + (similarity[i, j] == similarity[i, i]) / 2
               for j in range(n) if j != i]  # fmt: skip
        column = [(similarity[j, i] < similarity[i, i]) + (similarity[j, i] == similarity[i, i]) / 2
                  for j in range(n) if j != i]  # fmt: skip
        wanted.append((np.mean(row) + np.mean(column)) / 2)
    np.testing.assert_allclose(gauc_by_text(similarity), wanted)


def test_permuted_texts_are_at_chance() -> None:
    perfect = np.eye(40)
    assert gauc_by_text(perfect).mean() == 1
    assert abs(np.mean(permuted_gauc(perfect, 300, 0)) - 0.5) < 0.02


def test_texts_are_alike_in_length_by_rank() -> None:
    found = length_similarity([30, 10, 20], [200, 150, 180])
    np.testing.assert_array_equal(found, [[0, -2, -1], [-2, 0, -1], [-1, -1, 0]])


def test_texts_of_one_length_are_not_told_apart_by_their_order() -> None:
    same = length_similarity([30, 10, 30, 30], [30, 10, 30, 30])
    # Three texts are tied with two of three others: (1 + 2 / 2) / 3.
    np.testing.assert_allclose(gauc_by_text(same), [2 / 3, 1, 2 / 3, 2 / 3])
    order = [2, 0, 3, 1]
    first, second = np.array([5, 5, 8, 9]), np.array([7, 6, 6, 9])
    found = length_similarity(first[order].tolist(), second[order].tolist())
    wanted = length_similarity(first.tolist(), second.tolist())[np.ix_(order, order)]
    np.testing.assert_array_equal(found, wanted)


def test_the_loss_is_the_symmetric_cross_entropy_of_cosines() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 5, 4))
    cosines = np.array(
        [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second] for a in first]
    )
    rows = -np.log([np.exp(cosines[i, i]) / np.exp(cosines[i]).sum() for i in range(5)])
    columns = -np.log([np.exp(cosines[i, i]) / np.exp(cosines[:, i]).sum() for i in range(5)])
    found = contrastive_loss(torch.from_numpy(first), torch.from_numpy(second))
    assert float(found) == pytest.approx((rows.mean() + columns.mean()) / 2)


def test_the_network_sees_the_topologies_and_no_padding() -> None:
    generator = np.random.default_rng(0)
    long, short = (Factor.of(series(generator)[:tokens]).series for tokens in (TOKENS, 25))
    torch.manual_seed(0)
    network = Gcn(NEURONS, 6, 2, 3)
    found = network(Factor.stack([Factor(long), Factor(short)]))
    for z, outputs in zip((long, short), found, strict=True):
        values = network.embedding
        for mix in network.mixing:
            values = torch.relu((z.T @ z) @ values @ mix.weight.T)
        pooled = torch.cat([values.mean(dim=0), values.max(dim=0).values])
        torch.testing.assert_close(outputs, network.head(pooled), atol=1e-5, rtol=1e-5)


def test_a_model_matches_itself_with_its_neurons_in_disorder_and_no_unrelated_one() -> None:
    texts, wanted = 160, Matching(epochs=50, batch=40, rate=3e-3, width=16)
    model, unrelated = side(0, texts), side(1, texts)
    disorder = np.random.default_rng(2).permutation(NEURONS)
    again = Side("again", {number: z[:, disorder] for number, z in model.series.items()})
    train, stop, test = range(100), range(100, 120), range(120, texts)

    def matched(other: Side) -> float:
        matcher = fit((model, other), train, stop, wanted)
        return float(gauc_by_text(matcher.similarity((model, other), test, 40)).mean())

    assert matched(again) > 0.95
    # Of 40 unrelated texts GAUC has a standard error of about 0.035.
    assert abs(matched(unrelated) - 0.5) < 0.12


def test_training_is_the_same_again() -> None:
    model, wanted = side(0, 30), Matching(epochs=3, batch=10, width=8)
    found = [
        fit((model, model), range(20), range(20, 25), wanted).similarity(
            (model, model), range(25, 30), 2
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*found)


def correlations(seed: int, neurons: int = 30) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(100, 4)) @ generator.normal(size=(4, neurons))
    return np.asarray(np.corrcoef((x + generator.normal(size=x.shape)).T))


def test_an_assignment_finds_neurons_in_disorder_whose_signs_were_flipped() -> None:
    first, generator = correlations(0), np.random.default_rng(1)
    disorder, signs = generator.permutation(30), generator.choice([-1, 1], 30)
    noise = 0.01 * generator.normal(size=(30, 30))
    second = ((first + noise + noise.T) * np.outer(signs, signs))[np.ix_(disorder, disorder)]
    found = assign(first, second, 2, 0)
    np.testing.assert_array_equal(disorder[found.second], found.first)
    assert found.correlation > 0.98
    unrelated = assign(first, shuffled_entries(first, 0), 2, 0)
    assert unrelated.correlation < 0.7


def test_a_smaller_model_is_found_in_a_larger_one() -> None:
    large = correlations(0)
    part = np.random.default_rng(1).permutation(30)[:20]
    found = assign(large[np.ix_(part, part)], large, 3, 0)
    assert len(found.first) == 20
    pairs = np.triu_indices(20, k=1)
    one = np.abs(large[np.ix_(part[found.first], part[found.first])])[pairs]
    other = np.abs(large[np.ix_(found.second, found.second)])[pairs]
    assert found.correlation == pytest.approx(np.corrcoef(one, other)[0, 1])
    unrelated = assign(correlations(7, 20), large, 3, 0)
    assert unrelated.correlation < found.correlation


def test_entries_are_permuted_and_stay_symmetric() -> None:
    matrix = correlations(0)
    found, upper = shuffled_entries(matrix, 0), np.triu_indices(30, k=1)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.sort(found[upper]), np.sort(matrix[upper]))
    assert abs(np.corrcoef(found[upper], matrix[upper])[0, 1]) < 0.2


def test_the_distance_of_spectra_is_the_area_between_their_curves() -> None:
    one, flat = np.ones((4, 4)), np.eye(4)
    # All in the first of four eigenvalues: up to a quarter the curve is 4x, then 1; flat it is x.
    assert spectra_distance(one, flat) == pytest.approx(3 / 8, abs=1e-3)
    assert spectra_distance(np.eye(3), np.eye(7)) == pytest.approx(0, abs=1e-12)
    matrix, generator = correlations(0), np.random.default_rng(1)
    disorder, signs = generator.permutation(30), generator.choice([-1, 1], 30)
    other = (matrix * np.outer(signs, signs))[np.ix_(disorder, disorder)]
    assert spectra_distance(matrix, other) == pytest.approx(0, abs=1e-12)


def test_the_average_leaves_out_texts_in_which_a_neuron_is_constant() -> None:
    generator = np.random.default_rng(0)
    texts = [series(generator, 4) for _ in range(3)]
    texts[1][:, 2] = 0
    found = Side("model", dict(enumerate(texts))).average([0, 1, 2])
    others = [np.corrcoef(z.T) for z in (texts[0], texts[2])]
    wanted = np.mean(
        [*others, np.corrcoef(texts[1][:, [0, 1, 3]].T)[np.ix_(*[[0, 1, 0, 2]] * 2)]], axis=0
    )
    wanted[2, :] = np.mean(others, axis=0)[2, :]
    wanted[:, 2] = np.mean(others, axis=0)[:, 2]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_words_make_the_second_model_of_the_first() -> None:
    words = ["model=pythia70m", "model.dtype=bfloat16", "layers=1"]
    first, second = both(composed(*words, "study.other=['model.revision=step1000']"))
    assert (first.model.revision, second.model.revision) == (None, "step1000")
    assert second.model.id == first.model.id
    assert second.model.dtype == first.model.dtype == "bfloat16"
    _, second = both(composed(*words, "study.other=['model=gpt2','layers=[4]']"))
    assert (second.model.name, second.model.dtype, second.layers.index) == ("gpt2", "float32", [4])
    _, second = both(composed("init=random", "study.other=['init=pretrained']"))
    assert second.init.kind == "pretrained"
    first, second = both(composed())
    assert (first.init.kind, second.init.kind) == ("pretrained", "random")
    assert first.layers.selection == second.layers.selection == "middle"


def test_a_word_that_is_a_default_makes_another_model_too(texts: Path) -> None:
    words = ["data=text", f"data.path={texts}", "data.limit=2", "model.dtype=bfloat16", "layers=2"]
    first, second = both(composed(*words, "study.other=['model.dtype=float32']"))
    assert (first.model.dtype, second.model.dtype) == ("bfloat16", "float32")
    pieces = load_texts(first)
    coarse, fine = (read("model", config, pieces, [0, 1]) for config in (first, second))
    for number, z in coarse.series.items():
        assert not torch.equal(z, fine.series[number])
        torch.testing.assert_close(z, fine.series[number], atol=0.1, rtol=0)
    _, second = both(composed("init=random", "init.seed=2", "study.other=['init.seed=0']"))
    assert (second.init.kind, second.init.seed) == ("random", 0)
    words = ["model=pythia70m", "model.revision=step1", "study.other=['model.revision=null']"]
    assert both(composed(*words))[1].model.revision is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["study.other=['data=mmlu']"],
            "study.other has data=mmlu, but the second model must read",
        ),
        (["study.other=['model=gpt3']"], "model=gpt3 is unknown"),
        (["layers=each"], "layers=each is more than one layer"),
        (["layers=all"], "layers=all is more than one layer"),
        (["layers=cross"], "layers=cross joins the neurons of several layers"),
        (["study.other=['layers=all']"], "layers=all is more than one layer"),
        (["layers=[1,2]"], "layers=single is more than one layer"),
        (["data.cut=tokens"], "data.cut=tokens depends on the tokenizer"),
        (
            ["study.split=[0.5,0.5]"],
            "study.split=[0.5, 0.5] must be 3 fractions (training, validation, test) that sum to 1",
        ),
        (
            ["study.split=[1,0,0]"],
            "0.0 in study.split=[1.0, 0.0, 0.0] is too small; give more than",
        ),
        (["study.fractions=[1,0,0]"], "study.fractions is called study.split now"),
        (["study.layers=3"], "study.layers is called study.gcn_layers now"),
        (["study.batch=1"], "study.batch=1 is too small; give 2 or more"),
        (["study.rate=0"], "study.rate=0.0 is too small; give more than 0"),
        (["study.rate=nan"], "study.rate=nan is not a number"),
        (["study.rate=inf"], "study.rate=inf is too large"),
        (
            ["data=openwebtext", "data.streaming=true", "data.limit=3"],
            "data.streaming=true reads texts once",
        ),
    ],
)
def test_mistakes_are_told_before_any_work(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        (check(config := composed(*words)), both(config))
    assert said in str(error.value)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write documents of two paragraphs, some too long for the smaller model."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = []
    for number in range(20):
        paragraph = (
            f"In year {number} the river carried {7 * number} boats of sand to the sea. "
            * (1 + number % 4)
        )
        lines.append(json.dumps({"text": f"{paragraph}\n\n{paragraph}and back"}) + "\n")
    path.write_text("".join(lines))
    return path


def test_the_study_reads_the_texts_that_both_can_read(texts: Path, tmp_path: Path) -> None:
    other = save_tiny("gpt2", tmp_path / "other")
    words = [
        "data=text", f"data.path={texts}", "data.cut=paragraphs", "data.max_words=40",
        f"study.other=['model=local','model.path={other}']", "study.epochs=2", "study.width=8",
        "study.restarts=1", "study.repetitions=20", "study.batch=16", f"output={tmp_path}",
    ]  # fmt: skip
    config = composed(*words)
    facts = report(config, tmp_path)
    pieces = load_texts(config)
    lengths = [
        [len(AutoTokenizer.from_pretrained(path)(piece.text)["input_ids"]) for piece in pieces]
        for path in (ASSETS / "tiny", other)
    ]
    readable = sum(a >= 16 and 16 <= b <= 128 for a, b in zip(*lengths, strict=True))
    assert facts["texts"] == readable < len(pieces)
    assert facts["neurons"] == [128, 16]
    with (tmp_path / "gauc.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["pair"] for row in rows] == [
        "first model, itself", "first model, second model", "first model, random second model",
        "random first model, random second model", "token embeddings of both",
        "numbers of tokens alone",
    ]  # fmt: skip
    assert all(0 <= float(row["gauc"]) <= 1 for row in rows)
    results: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    assert results["fingerprints"][0]["recovered"] > 0.3
    assert [row["neurons"] for row in results["fingerprints"][:2]] == [[128, 128], [128, 16]]
    assert (tmp_path / "figures" / "matching.png").read_bytes().startswith(b"\x89PNG")


def test_the_series_are_those_of_plain_transformers(texts: Path) -> None:
    config, _ = both(composed("data=text", f"data.path={texts}", "layers=2", "data.limit=3"))
    pieces = load_texts(config)
    found = read("model", config, pieces, [5, 6, 2, 4])
    assert list(found.series) == [2, 5, 6]  # the first three that were offered, in order
    model = AutoModel.from_pretrained(ASSETS / "tiny", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    for number, z in found.series.items():
        ids = torch.tensor([tokenizer(pieces[number].text)["input_ids"]])
        with torch.inference_mode():
            hidden = model(ids, output_hidden_states=True).hidden_states[3][0]
        np.testing.assert_allclose(z.T @ z, np.corrcoef(hidden.double().T), atol=1e-4)


def test_too_few_texts_are_refused(texts: Path, tmp_path: Path) -> None:
    words = ["data=text", f"data.path={texts}", "data.limit=4"]
    with pytest.raises(UserError, match="4 texts that both models can read, of 4 documents"):
        report(composed(*words), tmp_path)


@pytest.mark.processes
def test_help_needs_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--help']\n"
        "try: runpy.run_module('experiments.matching', run_name='__main__')\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Match two models by their topologies" in done.stdout
    assert "study.other" in done.stdout
