"""Facts of the model from its configuration alone, so that mistakes are found at once."""

import string
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel

from experiments.intervene.selection import counts
from experiments.intervene.settings import InterveneConfig, layer_list
from experiments.intervene.value_projection import value_weights
from probe.api import UserError, model_name
from probe.api.parts import find_blocks, load_config, load_tokenizer


@dataclass(frozen=True)
class ModelFacts:
    """Sizes of a model, and the layers that are treated."""

    layers: list[int]
    n_neurons: int
    n_heads: int
    vocabulary: int


def check_model(config: InterveneConfig) -> ModelFacts:
    """Check the layers and selections against the model, and return its sizes.

    Raises
    ------
    UserError
        If it lacks a layer, or the value projection that a selection needs.
    """
    whole = load_config(config.model)
    text = whole.get_text_config()
    name, n_layers = model_name(config.model), text.num_hidden_layers
    settings = config.study
    layers = sorted(layer_list(settings) or [n_layers // 2])
    if layers[-1] >= n_layers:
        raise UserError(
            f"study.layers={layers[-1]} is not in {name}, whose layers are 0 to {n_layers - 1}"
        )
    n_neurons = text.hidden_size
    most = counts(settings.fractions, n_neurons)[-1]
    if "random_norm" in settings.select and 2 * most > n_neurons:
        raise UserError(
            f"study.select=random_norm needs as many other neurons, and {most} of {n_neurons} are "
            "treated; give smaller study.fractions"
        )
    if "weighted" in settings.select:
        if layers[-1] == n_layers - 1:
            raise UserError(
                f"study.select=weighted needs the next layer's value projection, and layer "
                f"{layers[-1]} is the last of {name}; give earlier study.layers, or leave weighted "
                "out of study.select"
            )
        blocks = find_blocks(_without_weights(config, whole), config.model)
        for layer in layers:
            value_weights(blocks[layer + 1], text.num_attention_heads)
    return ModelFacts(layers, n_neurons, text.num_attention_heads, text.vocab_size)


def answer_tokens(config: InterveneConfig, choices: int) -> list[int]:
    """Return the tokens of the letters A, B, C, … without a leading space.

    They are looked up in the vocabulary, as some tokenizers put a space before any text.

    Raises
    ------
    UserError
        If a letter is not a token.
    """
    if not choices:
        return []
    vocabulary = load_tokenizer(config.model).get_vocab()
    for letter in string.ascii_uppercase[:choices]:
        if letter not in vocabulary:
            raise UserError(
                f"study.measure=accuracy compares the tokens A, B, C, …, and {letter} is not a "
                f"token of {model_name(config.model)}; use another measure or model"
            )
    return [vocabulary[letter] for letter in string.ascii_uppercase[:choices]]


def _without_weights(config: InterveneConfig, whole: Any) -> nn.Module:
    with torch.device("meta"):
        trunk: nn.Module = AutoModel.from_config(
            whole, trust_remote_code=config.model.trust_remote_code
        )
    return trunk
