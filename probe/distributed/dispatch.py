"""A model spread over all devices of this process."""

from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory
from torch import nn


def spread(module: nn.Module, device: torch.device) -> nn.Module:
    """Spread a model from host memory, as `from_pretrained` does with one on the disk.

    Parameters
    ----------
    module : nn.Module
        A model of transformers.
    device : torch.device
        Device of the process; on a CPU the model stays there.

    Raises
    ------
    UserError
        If a part would have to stay on the disk.
    """
    # Imports transformers, which reads at import whether this rank may use the network.
    from probe.models import refuse_disk, settle

    if device.type == "cpu":
        return module
    blocks: Any = module._no_split_modules
    whole = list(blocks or [])
    memory = get_balanced_memory(module, no_split_module_classes=whole)
    device_map = infer_auto_device_map(module, memory, whole)
    refuse_disk(device_map)
    return settle(dispatch_model(module, device_map), device)
