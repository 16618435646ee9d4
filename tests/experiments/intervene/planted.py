"""A language model whose predictions depend on three neurons, and texts for it."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from experiments.intervene.settings import Intervene, InterveneConfig
from probe.api import compose
from tests.tiny_models import LINES, WIDTH, save_tiny

PLANTED = [2, 5, 11]
composed_once = cache(compose)
LAST = 2


def save_planted(folder: Path) -> Path:
    """Save a model whose head reads the planted neurons and no other.

    They follow one series, token by token, so that they are the hubs of the topology; the other
    neurons are independent of each other and hold more norm. Blocks add nothing to their input.
    """
    save_tiny("llama", folder, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_pretrained(folder)
    generator = torch.Generator().manual_seed(1)
    others = [neuron for neuron in range(WIDTH) if neuron not in PLANTED]
    with torch.no_grad():
        words = model.model.embed_tokens.weight
        words.copy_(3 * torch.randn(words.shape, generator=generator))
        series = torch.randn(len(words), 1, generator=generator)
        words[:, PLANTED] = series * torch.tensor([1.0, -1.5, 0.7])
        model.lm_head.weight.copy_(10 * torch.randn(words.shape, generator=generator))
        model.lm_head.weight[:, others] = 0
        for block in model.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(1)
    model.save_pretrained(folder)
    return folder


def save_texts(file: Path, documents: int = 8) -> Path:
    """Save texts of unlike length, so that batches have padding."""
    words = " ".join(LINES).split()
    texts = [
        " ".join(random.Random(number).choices(words, k=26 + 2 * (number % 3)))
        for number in range(documents)
    ]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def composed(
    model: Path, texts: Path, *words: str, layers: Any = "middle", **settings: Any
) -> InterveneConfig:
    """Compose the study's configuration."""
    config = composed_once(
        "model=local", f"model.path={model}", "data=text", f"data.path={texts}",
        "runtime.device=cpu", f"layers={layers}", *words,
    )  # fmt: skip
    return InterveneConfig(**vars(config), study=Intervene(**settings))
