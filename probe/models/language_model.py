"""The whole model with its language-model head, where logits are needed."""

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from probe.config import ModelConfig
from probe.errors import UserError
from probe.models.load import Place
from probe.models.spread import settle, spread_options


def load_language_model(model: ModelConfig, device: torch.device) -> nn.Module:
    """Load the pretrained model with its head, ready to run.

    Raises
    ------
    UserError
        If the model cannot be loaded or has no language-model head.
    """
    place = Place.of(model)
    dtype = getattr(torch, model.dtype.value)
    options = {"dtype": dtype, "output_loading_info": True, **spread_options(model, device)}
    whole, report = place.open_weights(AutoModelForCausalLM, **options)
    if report["missing_keys"]:
        raise UserError(
            f"model={place.name}: the checkpoint has no language-model head "
            f"({min(report['missing_keys'])} is missing), which perplexities need; "
            "use a causal language model, or leave out data.perplexity"
        )
    return settle(whole, device)
