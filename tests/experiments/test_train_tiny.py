"""The bundled model is really trained, and its training can be done again, small."""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import probe
from experiments.train_tiny import training
from experiments.train_tiny.corpus import Corpus, load_corpus
from experiments.train_tiny.evaluation import bits_per_byte
from experiments.train_tiny.settings import TrainTiny, TrainTinyConfig
from experiments.train_tiny.training import learning_rate_factor, train
from probe import api
from probe.api import UserError
from probe.data.sample import FILE

BUNDLED = Path(probe.__file__).parent / "assets" / "tiny"
SMALL = TrainTiny(
    steps=3, batch_size=1, window=1024, vocabulary=300, hidden_size=16, num_layers=2, num_heads=2,
    num_key_value_heads=1, intermediate_size=24, warmup_steps=2, threads=1, checkpoints=True,
)  # fmt: skip


def plain_bits(model: Any, ids: torch.Tensor) -> float:
    """Bits that a model spends on all tokens but the first, token by token."""
    with torch.no_grad():
        chances = model(input_ids=ids[None]).logits[0].double().log_softmax(-1)
    return -sum(float(chances[i, ids[i + 1]]) for i in range(len(ids) - 1)) / math.log(2)


def test_the_bundled_model_is_small_and_stored_in_float16() -> None:
    weights = load_file(BUNDLED / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert 1_000_000 <= sum(tensor.numel() for tensor in weights.values()) <= 2_000_000
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 4_000_000
    assert AutoConfig.from_pretrained(BUNDLED).model_type == "qwen2"


def test_the_bundled_model_reads_text_it_never_saw_far_better_than_an_untrained_one() -> None:
    model = AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32)
    untrained = AutoModelForCausalLM.from_config(model.config)
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    text = json.loads(FILE.read_text(encoding="utf-8").splitlines()[0])["text"]
    ids = torch.tensor(tokenizer(text)["input_ids"])
    assert tokenizer.decode(ids) == text
    # Prose, where it has learned from documentation: still more than half a bit a byte less.
    assert plain_bits(model, ids) < plain_bits(untrained, ids) - 0.5 * len(text.encode())


def test_the_card_tells_the_measured_bits() -> None:
    card = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert "| untrained, same seed | 3.624 |" in card
    assert "| as stored (float16), loaded in float32 | 1.919 |" in card


def configured(settings: TrainTiny) -> TrainTinyConfig:
    return TrainTinyConfig(**vars(api.compose()), study=settings)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(SMALL.held_out)


@pytest.fixture(scope="module")
def few(corpus: Corpus) -> Iterator[None]:
    """Train on a few of the documents; to read and to measure all takes longer than training."""
    few = Corpus(corpus.train[:60], corpus.held_out[:3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "load_corpus", lambda _: few)
        yield


@pytest.fixture(scope="module")
def trained(few: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("train")
    return folder, train(configured(SMALL), folder)


@pytest.mark.campaign
def test_checkpoints_lie_at_powers_of_two_and_at_the_end(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = trained
    steps = {path.name for path in (folder / "checkpoints").iterdir()}
    assert steps == {"step-0", "step-1", "step-2", "step-3"}
    first = load_file(folder / "checkpoints" / "step-0" / "model.safetensors")
    last = load_file(folder / "model" / "model.safetensors")
    assert first.keys() == last.keys()
    assert any(not torch.equal(first[name], last[name]) for name in first)
    AutoModelForCausalLM.from_pretrained(folder / "checkpoints" / "step-2")


@pytest.mark.campaign
def test_every_checkpoint_has_its_score(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, report = trained
    with (folder / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert {row["task"] for row in rows} == {"bits_per_byte"}
    values = [float(row["value"]) for row in rows]
    assert values[0] == report["untrained_bits_per_byte"]
    assert values[-1] == report["trained_bits_per_byte"]
    assert len(set(values)) == 3  # at the last step the learning rate is 0


def test_held_out_documents_share_no_long_paragraph_with_the_others(corpus: Corpus) -> None:
    assert not {d.name for d in corpus.train} & {d.name for d in corpus.held_out}
    paragraphs = [
        {p for d in documents for p in d.text.split("\n\n") if len(p) >= 80}
        for documents in (corpus.train, corpus.held_out)
    ]
    assert not paragraphs[0] & paragraphs[1]


def test_bits_per_byte_pays_for_every_token_once() -> None:
    model = AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32).eval()
    ids = torch.randint(0, 300, (40,))
    whole = bits_per_byte(model, ids, text_bytes=10, window=64)
    assert whole == pytest.approx(plain_bits(model, ids) / 10, rel=1e-5)
    windows = sum(plain_bits(model, ids[start : start + 11]) for start in range(0, 39, 10))
    assert bits_per_byte(model, ids, 10, window=11) == pytest.approx(windows / 10, rel=1e-5)


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    settings = TrainTiny(steps=100, warmup_steps=10)
    rates = [learning_rate_factor(step, settings) for step in range(1, 101)]
    assert rates[9] == max(rates) == 1
    assert rates[4] == 0.5
    assert rates[99] == pytest.approx(0)
    assert rates[9:] == sorted(rates[9:], reverse=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": -1}, "study.steps=-1 is too small; give 0 or more"),
        ({"window": 1}, "study.window=1 is too small; give 2 or more"),
        ({"vocabulary": 256}, "study.vocabulary=256 is too small; give 257 or more"),
        ({"log_every": 0}, "study.log_every=0 is too small; give 1 or more"),
        ({"learning_rate": math.nan}, "study.learning_rate=nan is not a number; give more than 0"),
        ({"gradient_clip": 0.0}, "study.gradient_clip=0.0 is too small; give more than 0"),
        ({"weight_decay": -1.0}, "study.weight_decay=-1.0 is too small; give 0 or more"),
        ({"held_out": 1.0}, "study.held_out=1.0 is too large; give more than 0 and less than 1"),
        ({"num_heads": 3}, "study.hidden_size=128 must be a multiple of twice study.num_heads=3"),
        ({"num_key_value_heads": 3}, "a multiple of study.num_key_value_heads=3"),
    ],
)
def test_mistakes_are_told_before_any_work(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    config = configured(TrainTiny(**settings))
    with pytest.raises(UserError) as error:
        (api.check(config), train(config, tmp_path))
    assert said in str(error.value)


@pytest.mark.usefixtures("few")
def test_a_window_longer_than_the_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.window=1000000 is too large for the"):
        train(configured(replace(SMALL, window=1_000_000)), tmp_path)


@pytest.mark.campaign
def test_a_training_is_its_seed(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, report = trained
    again = train(configured(SMALL), tmp_path)
    assert again["trained_bits_per_byte"] == report["trained_bits_per_byte"]
    name = "model/model.safetensors"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.processes
def test_the_study_enters_like_the_main_program_and_reads_the_whole_corpus(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "load_corpus", lambda _: corpus)
    whole = train(configured(SMALL), tmp_path / "here")
    settings = [f"study.{name}={value}" for name, value in vars(SMALL).items()]
    command = [
        sys.executable,
        "-m",
        "experiments.train_tiny",
        "tracking=none",
        f"output={tmp_path}",
    ]
    ran = subprocess.run([*command, *settings], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    [manifest] = tmp_path.glob("train_tiny/*/manifest.json")
    facts = json.loads(manifest.read_text())
    assert facts["config"]["study"]["vocabulary"] == 300
    assert facts["files"].keys() >= {"model/model.safetensors", "checkpoints/step-2/config.json"}
    assert facts["trained_bits_per_byte"] == whole["trained_bits_per_byte"]
    name = "model/model.safetensors"
    assert (manifest.parent / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    typo = subprocess.run([*command, "study.stepz=3"], capture_output=True, text=True, check=False)
    assert typo.returncode == 1
    assert typo.stderr == "probe: unknown key 'study.stepz'; did you mean 'study.steps'?\n"
