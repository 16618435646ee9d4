"""The tokens that are read are those of tokenizer.json."""

import json
import logging
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from probe.config import ModelConfig
from probe.examples.plan import context_length
from probe.models import load_tokenizer
from tests.tiny_models import save_tiny

NUMBERS = [f"In {1900 + 7 * k % 131} they sold {1000 + 7919 * k} tickets." for k in range(300)]


def with_rules_of_its_own(folder: Path) -> Path:
    """Save a Qwen2 whose tokenizer joins digits, which Qwen's own rules do not."""
    save_tiny("qwen2", folder, vocab_size=900)
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    own.train_from_iterator(NUMBERS, trainer)
    own.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>",
                "bos_token": "<s>", "eos_token": "</s>", "model_max_length": 100}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_ids_are_those_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = with_rules_of_its_own(tmp_path)
    expected = [
        one.ids for one in Tokenizer.from_file(f"{folder}/tokenizer.json").encode_batch(NUMBERS)
    ]
    assert AutoTokenizer.from_pretrained(folder)(NUMBERS)["input_ids"] != expected
    tokenizer = load_tokenizer(ModelConfig(path=str(folder)), NUMBERS[:3])
    assert tokenizer(NUMBERS)["input_ids"] == expected
    assert (tokenizer.pad_token, tokenizer.model_max_length) == ("<pad>", 100)
    [line] = caplog.messages
    assert line.startswith("the tokens of tokenizer.json are read: Qwen2Tokenizer splits ")
    load_tokenizer(ModelConfig(path=str(folder)))
    assert len(caplog.messages) == 1


def test_a_tokenizer_that_agrees_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "probe")
    folder = save_tiny("llama", tmp_path)
    kind = type(AutoTokenizer.from_pretrained(folder))
    assert type(load_tokenizer(ModelConfig(path=str(folder)), NUMBERS)) is kind
    assert not caplog.messages


@pytest.mark.parametrize(
    ("architecture", "positions"), [("roberta", 130 - 2), ("bert", 130), ("opt", 130)]
)
def test_the_context_is_what_the_model_can_index(
    tmp_path: Path, architecture: str, positions: int
) -> None:
    sizes = {"max_position_embeddings": 130, "pad_token_id": 1}
    folder = save_tiny(architecture, tmp_path, **sizes)
    model = ModelConfig(path=str(folder))
    tokenizer = load_tokenizer(model)
    tokenizer.model_max_length = 10**30
    assert context_length(model, tokenizer) == positions
