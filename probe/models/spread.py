"""Spreading a model over several devices with transformers' `device_map`."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from probe.config import ModelConfig
from probe.errors import UserError
from probe.system.logs import plural

logger = logging.getLogger(__name__)


def spread_options(
    model: ModelConfig, device: torch.device, *, whole: bool = False
) -> dict[str, Any]:
    """Return the options of `from_pretrained` for devices, none if there is one device.

    With `whole` the model is put there as it is read, as quantised weights cannot be moved.
    """
    if model.device_map is None:
        return {"device_map": {"": str(device)}} if whole else {}
    # The CPU was requested on a machine with GPUs.
    cpu_only = device.type == "cpu" and torch.accelerator.is_available()
    return {"device_map": {"": "cpu"} if cpu_only else model.device_map}


def settle(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a model ready to run, on its device or spread over several."""
    device_map: Mapping[str, Any] | None = getattr(module, "hf_device_map", None)
    if device_map is None:
        if getattr(module, "hf_quantizer", None) is None:  # those are there, and may not move
            module = module.to(device)
    else:
        refuse_disk(device_map)
        names = (f"cuda:{d}" if isinstance(d, int) else str(d) for d in device_map.values())
        parts = [f"{plural(n, 'part')} on {name}" for name, n in Counter(names).items()]
        logger.info("the model is spread: %s", ", ".join(parts))
    return module.eval().requires_grad_(False)


def refuse_disk(device_map: Mapping[str, Any]) -> None:
    """Refuse a model part of which would be read from the disk for every batch.

    Raises
    ------
    UserError
        If there is such a part.
    """
    on_disk = [name for name, device in device_map.items() if device == "disk"]
    if on_disk:
        raise UserError(
            f"model.device_map=auto would leave {len(on_disk)} parts of the model on the disk "
            f"({on_disk[0]} first), to be read for every batch; use model.dtype=bfloat16, a "
            "smaller model or a machine with more memory"
        )
