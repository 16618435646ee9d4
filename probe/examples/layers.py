"""Which of the model's layers are read."""

from typing import Any

from probe.config import (
    JOINT,
    Config,
    ModelConfig,
    Selection,
    Site,
    layer_numbers,
    model_name,
)
from probe.errors import UserError
from probe.models import load_config


def text_part(model: ModelConfig) -> Any:
    """Return the configuration of the model's only part that reads text.

    Raises
    ------
    UserError
        If the model reads no text, or two at once.
    """
    whole = load_config(model)
    text, name = whole.get_text_config(), f"model={model_name(model)}"
    if getattr(whole, "is_encoder_decoder", False):
        raise UserError(
            f"{name} has an encoder and a decoder, which read two texts; use a model with only one "
            "of the two"
        )
    if not getattr(text, "vocab_size", None):
        raise UserError(f"{name} has no vocabulary, so it reads no text; use a language model")
    if getattr(text, "num_hidden_layers", 0) < 1:
        raise UserError(f"{name} has no layers according to its config.json; use another model")
    return text


def layers_of(config: Config) -> list[int]:
    """Return the selected layer numbers, from 0, of the model that is configured.

    Raises
    ------
    UserError
        If a layer is not in the model, or the model reads no text.
    """
    return resolve_layers(config, text_part(config.model).num_hidden_layers)


def resolve_layers(config: Config, n_layers: int) -> list[int]:
    """Return the selected layer numbers, from 0.

    Raises
    ------
    UserError
        If a layer is not in the model.
    """
    selection = config.layers.selection
    if config.site is Site.embedding:
        return [0]
    if selection is Selection.middle:
        return [n_layers // 2]
    if selection in JOINT and n_layers < 2:
        raise UserError(
            f"layers={selection} joins two layers or more, but {model_name(config.model)} has "
            f"{n_layers}; use layers=each"
        )
    if not layer_numbers(config):
        return list(range(n_layers))
    for layer in layer_numbers(config):
        if layer >= n_layers:
            raise UserError(
                f"layer {layer} is not in {model_name(config.model)}, whose layers are 0 to "
                f"{n_layers - 1}; the nearest is {n_layers - 1}"
            )
    return sorted(layer_numbers(config))
