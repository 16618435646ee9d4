"""The whole model, with its language-model head, for what needs logits."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from probe.config import ModelConfig
from probe.errors import UserError
from probe.models.load import Place


def load_language_model(model: ModelConfig, device: torch.device) -> nn.Module:
    """Load the pretrained model with its head, ready to run.

    Raises
    ------
    UserError
        If the model cannot be had, or has no language-model head.
    """
    place = Place.of(model)
    dtype = getattr(torch, model.dtype.value)
    whole, report = place.open(AutoModelForCausalLM, dtype=dtype, output_loading_info=True)
    if report["missing_keys"]:
        raise UserError(
            f"model={place.name}: the checkpoint has no language-model head "
            f"({min(report['missing_keys'])} is missing), which perplexities need; "
            "take a causal language model, or leave data.perplexity out"
        )
    ready: nn.Module = whole.to(device).eval().requires_grad_(False)
    return ready
