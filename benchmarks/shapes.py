"""Models with random weights by shape: the same work as trained ones, without a download."""

from typing import TypedDict

import torch
from torch import nn
from transformers import AutoModelForCausalLM, Qwen2Config


class Shape(TypedDict, total=False):
    """The keys of a Qwen2 configuration that set the model's size."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    tie_word_embeddings: bool


# As in the configurations of Qwen/Qwen2.5-0.5B and Qwen/Qwen2.5-7B; `tiny` is for tests.
SHAPES: dict[str, Shape] = {
    "tiny": {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 50,
    },
    # Small enough for whole runs, large enough for the model to dominate them.
    "small": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 2048,
    },
    "0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
}


def make_model(shape: str, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Return a model with its language-model head and random weights; `.model` is its trunk."""
    torch.manual_seed(0)
    with device:
        model = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPES[shape]), dtype=dtype)
    ready: nn.Module = model.eval().requires_grad_(False)
    return ready
