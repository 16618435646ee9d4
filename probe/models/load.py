"""Load a model, with or without its head or trained weights; or fetch it with its tokenizer."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models.blocks import text_part
from probe.models.checkpoint import report_unused
from probe.models.place import Place, weight_files
from probe.models.quantised import hold_to_dtype, method
from probe.models.spread import settle, spread_options
from probe.models.tokens import load_tokenizer
from probe.system.device_memory import format_bytes
from probe.system.kept import forget

logger = logging.getLogger(__name__)
TRUNK = "trunk"  # see `probe.models.kept`; there is one model in memory at a time


def load_config(model: ModelConfig) -> Any:
    """Load the model's own (Hugging Face) configuration."""
    return Place.of(model).config()


def load_trunk(model: ModelConfig, init: InitConfig, device: torch.device) -> nn.Module:
    """Load the model without its language-model head, ready to run.

    Parameters
    ----------
    model : ModelConfig
        Which model, and its precision.
    init : InitConfig
        `pretrained` weights, or `random` ones of the same architecture, drawn on the CPU so that
        they do not depend on the device.
    device : torch.device
        Where the model will run; with `model.device_map` random weights stay on the CPU until
        `probe.distributed.spread` moves them.

    Raises
    ------
    UserError
        If the model cannot be loaded, or its checkpoint lacks weights of the trunk.
    """
    forget(TRUNK)
    place = Place.of(model)
    if init.kind is InitKind.random:
        config = place.config()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init.seed)
            trunk = place.make(config, dtype=place.dtype)
        device = device if model.device_map is None else torch.device("cpu")
    else:
        trunk = _pretrained(place, model, device)
    return text_part(settle(trunk, device))


def load_language_model(model: ModelConfig, device: torch.device) -> nn.Module:
    """Load the pretrained model with its head, ready to run.

    Raises
    ------
    UserError
        If the model cannot be loaded or has no language-model head.
    """
    forget(TRUNK)
    place = Place.of(model)
    config = place.config()  # first, as it says best what is wrong with the Hub
    options = {
        "dtype": place.dtype, "output_loading_info": True,
        **spread_options(model, device, whole=method(config) is not None),
    }  # fmt: skip
    whole, report = place.open_weights(_with_head(place.name, config), **options)
    if report["missing_keys"]:
        raise _headless(place.name, f"{min(report['missing_keys'])} is missing")
    return settle(_finished(place, config, whole), device)


def _with_head(name: str, config: Any) -> Any:
    """Return the class that loads a model with its head: most that see as well have their own."""
    kind = type(config)
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING or hasattr(config, "auto_map"):
        return AutoModelForCausalLM
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    raise _headless(name, f"transformers has none for {config.model_type}")


def _headless(name: str, why: str) -> UserError:
    return UserError(
        f"model={name}: the checkpoint has no language-model head ({why}), which perplexities and "
        "continuations need; use a causal language model, or leave out data.perplexity and "
        "data.generate"
    )


def fetch_language_model(model: ModelConfig) -> None:
    """Download everything that `load_language_model` needs, see `fetch_model`."""
    place = Place.of(model)
    fetch_model(model, InitConfig(), _with_head(place.name, place.config()))


def weights_bytes(model: ModelConfig, init: InitConfig) -> int:
    """Return the bytes of a trunk's weights: of its configuration, or of its quantised files."""
    place = Place.of(model)
    if init.kind is InitKind.pretrained and method(place.config()) is not None:
        with place.as_user_error():
            return sum(file.stat().st_size for file in weight_files(place))
    return sum(weight.nbytes for weight in outline(model).parameters())


def outline(model: ModelConfig) -> nn.Module:
    """Return the trunk without the values of its weights, from its configuration alone."""
    place = Place.of(model)
    config = place.config()
    with torch.device("meta"):
        return text_part(place.make(config, dtype=place.dtype))


def outline_with_head(model: ModelConfig) -> nn.Module:
    """Return the language model without the values of its weights, likewise."""
    place = Place.of(model)
    config = place.config()
    with torch.device("meta"):
        return place.make(config, _with_head(place.name, config), dtype=place.dtype)


def _pretrained(place: Place, model: ModelConfig, device: torch.device) -> Any:
    """Load the trunk's weights with its adapter, and refuse an incomplete checkpoint."""
    config = place.config()  # first, as above
    options = {
        "config": config, "dtype": place.dtype, "output_loading_info": True,
        "ignore_mismatched_sizes": True,
        **spread_options(model, device, whole=method(config) is not None),
    }  # fmt: skip
    trunk, report = place.open_weights(AutoModel, **options)
    if set(trunk.state_dict()) <= set(report["missing_keys"]):
        # Before transformers 5 the trunk of Gemma 3 does not map the names of its weights in a
        # language model's checkpoint.
        trunk, report = place.open(AutoModel, key_mapping={r"^model\.": ""}, **options)
    if report["mismatched_keys"]:
        first = min(report["mismatched_keys"])
        name = first if isinstance(first, str) else first[0]  # transformers 5 adds the shapes
        shape = tuple(trunk.state_dict()[name].shape)
        raise UserError(
            f"model={place.name}: the checkpoint's {name} does not have the shape {shape} of "
            "config.json; use the config.json that belongs to the checkpoint"
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise UserError(
            f"model={place.name}: the checkpoint lacks {len(missing)} weights of the model "
            f"(the first is {missing[0]}); use a complete checkpoint or init=random"
        )
    report_unused(place.name, trunk, report["unexpected_keys"])
    return _finished(place, config, trunk)


def _finished(place: Place, config: Any, model: Any) -> Any:
    """Return a loaded model in the precision asked for, with its adapter, and say what it is."""
    how = method(config)  # dequantised, the model's own has lost it
    if place.gguf is not None:
        logger.info(
            "model=%s: %s of GGUF are dequantised to %s in %s",
            place.name, format_bytes(place.gguf.stat().st_size),
            format_bytes(sum(weight.nbytes for weight in model.parameters())),
            str(place.dtype).removeprefix("torch."),
        )  # fmt: skip
    elif how is not None:
        hold_to_dtype(place.name, model, how, place.dtype)
        logger.info("model=%s: the weights are quantised (%s)", place.name, how)
    if place.adapter is not None:
        place.adapter.merge(model)
    return model


def fetch_model(model: ModelConfig, init: InitConfig, kind: Any = AutoModel) -> None:
    """Download everything that loading a model and its tokenizer needs from the Hub.

    The model is loaded without the values of its weights, because only transformers knows which
    files of a repository it needs. Machines may share a cache: the Hub's library locks every file
    while it downloads it.

    Parameters
    ----------
    model, init
        See `load_trunk`.
    kind : class
        The class that will load the weights.

    Raises
    ------
    UserError
        If the model cannot be downloaded.
    """
    place = Place.of(model)
    if place.adapter is not None and init.kind is InitKind.pretrained:
        _ = place.adapter.weights
    if Path(place.where).is_dir():
        return
    load_tokenizer(model)
    if init.kind is InitKind.random:
        config = load_config(model)
        with torch.device("meta"):  # downloads code that comes with the model
            place.make(config)
    else:
        # A checkpoint that does not fit is refused with a better message when it is loaded.
        place.open_weights(kind, dtype=place.dtype, ignore_mismatched_sizes=True, device_map="meta")
