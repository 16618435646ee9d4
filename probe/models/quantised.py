"""Checkpoints whose weights are quantised: they load as they are, in the precision they have."""

from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import UserError


def method(config: Any) -> str | None:
    """Return how a checkpoint is quantised by its configuration, e.g. `fp8`; None if it is not."""
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    plain = settings if isinstance(settings, dict) else vars(settings)
    name = plain.get("quant_method", "unknown")
    return str(getattr(name, "value", name))


def hold_to_dtype(name: str, model: nn.Module, how: str, dtype: torch.dtype) -> None:
    """Refuse another precision than that of what is not quantised, which transformers leaves as is.

    Where all weights were dequantised, those of a checkpoint of mixed precision get this one.

    Parameters
    ----------
    name : str
        Name of the model.
    model : nn.Module
        What was loaded.
    how : str
        See `method`.
    dtype : torch.dtype
        The precision that was asked for.

    Raises
    ------
    UserError
        If none of its weights has it, or transformers has passed the quantisation over.
    """
    left = method(getattr(model, "config", None))  # None where weights were dequantised
    if left is not None and getattr(model, "hf_quantizer", None) is None:
        raise UserError(
            f"model={name}: the checkpoint is quantised ({how}), which this transformers does not "
            "read; use the model as it was before, or another form of it"
        )
    found = {weight.dtype for weight in model.parameters() if _is_plain(weight)}
    if found and dtype not in found:
        has = str(min(found, key=str)).removeprefix("torch.")
        raise UserError(
            f"model={name}: the checkpoint is quantised ({how}), and what is not is in {has}; give "
            f"model.dtype={has}"
        )
    if len(found) > 1 and all(_is_plain(weight) for weight in model.parameters()):
        for weight in model.parameters():
            weight.data = weight.data.to(dtype)


def _is_plain(weight: Tensor) -> bool:
    """Whether a weight is of a floating type in which a model computes."""
    return weight.is_floating_point() and weight.element_size() > 1
