"""The trunk of a sweep's last job, for the next job if it reads the same model."""

import gc
import logging
from collections.abc import Callable
from dataclasses import astuple

import torch
from torch import nn

from probe.config import InitConfig, ModelConfig
from probe.models.fingerprint import model_fingerprint
from probe.models.load import TRUNK
from probe.models.state import ModelState
from probe.system.device_memory import format_bytes, release_cached
from probe.system.kept import forget, keep, keeps, recall

logger = logging.getLogger(__name__)


def recall_trunk(model: ModelConfig, init: InitConfig, device: torch.device) -> nn.Module | None:
    """Return the trunk that the sweep's last job has loaded, as it was then, if it is this one.

    Any other is let go first, so that two models are never in memory. A model that reading has
    given other weights, as RWKV, is read anew.

    Parameters
    ----------
    model, init, device
        As `load_trunk` is called; the files must be the same, too.
    """
    if not keeps():
        return None
    kept = recall(TRUNK, _key(model, init, device))
    if kept is not None and not kept[1].reweighted():
        trunk, state = kept
        state.restore(hooks=True)
        return trunk  # type: ignore[no-any-return]
    forget(TRUNK)
    del kept
    gc.collect()
    release_cached(device)
    return None


def keep_trunk(
    load: Callable[[], nn.Module], model: ModelConfig, init: InitConfig, device: torch.device
) -> nn.Module:
    """Load a trunk, and keep it for the next job if there may be one."""
    trunk = load()
    if keeps():
        keep(TRUNK, _key(model, init, device), (trunk, ModelState(trunk)))
        size = format_bytes(weights_in_memory(trunk))
        logger.info("the model (%s) stays in memory for the sweep's next job", size)
    return trunk


def weights_in_memory(trunk: nn.Module) -> int:
    """Return the bytes of a model's weights and buffers."""
    return sum(tensor.nbytes for tensor in [*trunk.parameters(), *trunk.buffers()])


def _key(model: ModelConfig, init: InitConfig, device: torch.device) -> object:
    return astuple(model), astuple(init), str(device), model_fingerprint(model, init)
