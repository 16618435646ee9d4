"""A language model one of whose units follows a list of words, by weights set by hand."""

import csv
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.tiny_models import CONTEXT, WIDTH, save_tiny

# Words come in pairs, one of the list and its twin. They differ in one coordinate of the residual
# stream only, in which they have the opposite sign, and so the same norm.
PAIRS = 48
LISTED = [f"list{number}" for number in range(PAIRS)]
TWINS = [f"twin{number}" for number in range(PAIRS)]
COORDINATE, LAYER, UNIT = 3, 1, 7
END = "<end>"
PROMPT = 6


def save_planted_words(folder: Path) -> Path:
    """Save a model whose unit `UNIT` of layer `LAYER` alone reads the coordinate of the list.

    Blocks add nothing to the residual stream, so that every token is read by itself. After a word
    of the list the model writes words of the list, each as likely as another; after twins, twins.
    """
    save_tiny("llama", folder, vocab_size=2 * PAIRS + 1, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_pretrained(folder)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        shared = torch.randn(PAIRS, WIDTH, generator=generator)
        shared[:, COORDINATE] = 0
        shared *= (WIDTH / shared.square().sum(dim=1, keepdim=True)).sqrt()
        words = torch.zeros(2 * PAIRS + 1, WIDTH)
        words[1 : PAIRS + 1], words[PAIRS + 1 :] = shared, shared
        words[1 : PAIRS + 1, COORDINATE], words[PAIRS + 1 :, COORDINATE] = 2, -2
        model.model.embed_tokens.weight.copy_(words)
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, COORDINATE] = 20 * words[:, COORDINATE]
        for number, block in enumerate(model.model.layers):
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
            block.post_attention_layernorm.weight.fill_(1)
            for projection in (block.mlp.gate_proj, block.mlp.up_proj):
                _read(projection, generator, planted=number == LAYER)
        model.model.norm.weight.fill_(1)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def _read(projection: nn.Linear, generator: torch.Generator, *, planted: bool) -> None:
    """Let units read all other coordinates at random, and the planted one its own alone."""
    weight = projection.weight
    weight.copy_(torch.randn(weight.shape, generator=generator) / WIDTH**0.5)
    weight[:, COORDINATE] = 0
    if planted:
        weight[UNIT] = 0
        weight[UNIT, COORDINATE] = 1


def _tokenizer() -> PreTrainedTokenizerFast:
    numbers = {word: number for number, word in enumerate([END, *LISTED, *TWINS])}
    words = Tokenizer(WordLevel(numbers, unk_token=END))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=END, eos_token=END, model_max_length=CONTEXT
    )


def save_prompts(file: Path, seed: int, each: int, off: int) -> Path:
    """Save prompts of the task `listed`, which are words of the list; of `plain`; and of topics.

    All but those of the task are of either kind, each prompt of one. Whatever the kind, the pairs
    are drawn alike.
    """
    rng = random.Random(seed)

    def prompt(words: list[str]) -> str:
        return " ".join(rng.choices(words, k=PROMPT))

    def either() -> list[str]:
        return rng.choice([LISTED, TWINS])

    rows = [("listed", prompt(LISTED)) for _ in range(each)]
    rows += [("plain", prompt(either())) for _ in range(each)]
    rows += [(f"topic {number % 10}", prompt(either())) for number in range(off)]
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("topic", "words"), *rows])
    return file
