"""Perplexities against a plain forward pass of each text alone."""

import json
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from probe import api
from probe.config import Config, DataConfig, DType, ModelConfig
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.examples.choose import Example
from probe.extraction.checkpoints import Keeper
from probe.extraction.checks import refuse_two_sided
from probe.extraction.perplexity import perplexities
from probe.models import load_language_model
from tests.tiny_models import save_tiny

TEXTS = [f"The {'long ' * n}river carried {n} boats of sand to the sea." for n in range(9)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture
def words(model: Path, tmp_path: Path) -> list[str]:
    text = tmp_path / "texts.jsonl"
    text.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    return [
        *("model=local", f"model.path={model}", "data=text", f"data.path={text}"),
        *("runtime.token_budget=150", "data.min_tokens=4", f"output={tmp_path / 'out'}"),
    ]


def expected(model: Path) -> np.ndarray:
    """One text at a time, by transformers' own loss (its labels are shifted by one)."""
    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            found.append(float(whole(ids, labels=ids).loss.exp()))
    return np.array(found)


def examples(model: Path) -> list[Example]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return [Example(f"d{i}", tokenizer(text)["input_ids"]) for i, text in enumerate(TEXTS)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_perplexities_are_those_of_each_text_alone(
    model: Path, words: list[str], side: str
) -> None:
    config = api.compose(*words, f"model.padding_side={side}", "init=random")
    np.testing.assert_allclose(perplexities(examples(model), config), expected(model), rtol=1e-5)


@pytest.mark.usefixtures("one_process")
def test_two_ranks_find_the_same(model: Path, words: list[str]) -> None:
    config = api.compose(*words, "launch.num_processes=2", "runtime.device=cpu")
    np.testing.assert_allclose(perplexities(examples(model), config), expected(model), rtol=1e-5)


def test_the_examples_between_the_percentiles_are_kept_and_the_scores_found_again(
    model: Path, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    filtered = [*words, "data.perplexity=[20,80]", "data.limit=4"]
    read = [example.document for example in api.iterate(*filtered, "layers=0")]
    value = expected(model)
    low, high = np.percentile(value, [20, 80])
    inside = [f"texts.jsonl/{i}" for i in range(9) if low <= value[i] <= high]
    assert sorted(read) == inside[:4]
    assert "scoring the perplexity of 9 examples" in caplog.text
    caplog.clear()
    again = [*filtered, "init=random"]
    read_again = [example.document for example in api.iterate(*again, "layers=0")]
    assert sorted(read_again) == inside[:4]
    assert "scoring" not in caplog.text


def test_what_was_scored_before_an_interruption_is_not_scored_again(
    model: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    note = Keeper.note

    def noted(keeper: Keeper, batch: Batch, parts: int) -> bool:
        read.extend(batch.members)
        if len(read) == stop_at:
            signal.raise_signal(signal.SIGINT)
        return note(keeper, batch, parts)

    monkeypatch.setattr(Keeper, "note", noted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    one_a_batch = [*words, "runtime.token_budget=1"]
    stop_at = 4
    try:
        with pytest.raises(KeyboardInterrupt):
            perplexities(examples(model), api.compose(*one_a_batch))
    finally:
        signal.signal(signal.SIGINT, before)
    stop_at = 0
    # Another study of the same texts goes on from there.
    other = api.compose(*one_a_batch, "layers=0", "average=fisher", "runtime.matmul=tf32")
    np.testing.assert_allclose(perplexities(examples(model), other), expected(model), rtol=1e-5)
    assert sorted(read) == list(range(9)), "each once"
    [left] = (tmp_path / "out" / ".perplexity").iterdir()
    assert left.suffix == ".npy"


def test_two_processes_do_not_score_the_same_examples(
    model: Path, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    config, texts = api.compose(*words), examples(model)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: perplexities(texts, config), range(2)))
    np.testing.assert_array_equal(*found)
    assert caplog.text.count("scoring the perplexity") == 1
    assert caplog.text.count("another process is scoring the same examples; waiting for it") == 1


def test_a_model_without_a_head_has_no_perplexity(
    model: Path, words: list[str], tmp_path: Path
) -> None:
    trunk = tmp_path / "trunk"
    AutoModel.from_pretrained(model).save_pretrained(trunk)
    AutoTokenizer.from_pretrained(model).save_pretrained(trunk)
    with pytest.raises(UserError, match="has no language-model head"):
        perplexities(examples(model), api.compose(*words, f"model.path={trunk}"))


def test_an_infinite_perplexity_is_named(model: Path, words: list[str], tmp_path: Path) -> None:
    whole = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        whole.lm_head.weight[0] = float("nan")
    broken = tmp_path / "broken"
    whole.save_pretrained(broken)
    AutoTokenizer.from_pretrained(model).save_pretrained(broken)
    with pytest.raises(UserError, match=r"example 0 \(d0\) has no finite perplexity"):
        perplexities(examples(model), api.compose(*words, f"model.path={broken}"))


@pytest.mark.parametrize("dtype", list(DType))
def test_a_model_that_sees_what_it_predicts_has_no_perplexity(tmp_path: Path, dtype: DType) -> None:
    folder = save_tiny("bert", tmp_path)
    ids = [list(range(1, 41)), list(range(5, 60))]
    examples = [Example(str(n), row) for n, row in enumerate(ids)]
    config = Config(ModelConfig(path=str(folder), dtype=dtype), DataConfig("text"))
    config.output = str(tmp_path / "out")
    told = r"has no perplexity: when the last token of a text is changed, \d+ of the \d+ predict"
    with pytest.raises(UserError, match=told):
        perplexities(examples, config)


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3", "mixtral", "mamba"])
@pytest.mark.parametrize("dtype", list(DType))
def test_causal_models_pass(tmp_path: Path, architecture: str, dtype: DType) -> None:
    more = {"num_local_experts": 4, "num_key_value_heads": 2} if architecture == "mixtral" else {}
    folder = save_tiny(architecture, tmp_path, **more)
    model = ModelConfig(path=str(folder), dtype=dtype)
    refuse_two_sided(load_language_model(model, torch.device("cpu")), model, list(range(1, 50)))
