"""The files of a checkpoint, and what it holds beside the weights that are read."""

import logging
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import nn

logger = logging.getLogger(__name__)
# Computed, not learned: older checkpoints have them.
_COMPUTED = re.compile(
    r"(inv_freq|(attn|attention)\.(bias|masked_bias)|position_ids|token_type_ids)$"
)


def file_of(where: str, name: str, options: dict[str, Any]) -> str | None:
    """Return the path of a file of a model, in its folder or the cache; None if it has none.

    Raises
    ------
    OSError
        If the Hub does not answer, and nothing of the model is in the cache.
    """
    if Path(where).is_dir():
        file = Path(where) / name
        return str(file) if file.is_file() else None
    return _on_the_hub(where, name, options.get("revision"))


@cache
def _on_the_hub(where: str, name: str, revision: str | None) -> str | None:
    """Ask for a file once a process, also if there is none, or a model in the cache is enough."""
    try:
        return hf_hub_download(where, name, revision=revision)
    except LocalEntryNotFoundError:  # the Hub does not answer
        settings = ("config.json", "adapter_config.json")
        kept = [try_to_load_from_cache(where, one, revision=revision) for one in settings]
        if any(isinstance(file, str) for file in kept):
            return None
        raise
    except HfHubHTTPError:  # there is none, or what is asked for next says what is wrong
        return None


def unused(trunk: nn.Module, unexpected: Iterable[str]) -> list[str]:
    """Return the weights of a checkpoint that are the trunk's by name, and that it does not use.

    Heads, which are not read, are none of them.

    Parameters
    ----------
    trunk : nn.Module
        The model without its head.
    unexpected : iterable of str
        Names in the checkpoint for which the model has no weight.
    """
    parts = {name for name, _ in trunk.named_children()} - {"pooler"}
    found = []
    for key in unexpected:
        path = key.split(".")
        # The trunk is a part of the model with a head, under a name of its own.
        inside = path[0] in parts or (len(path) > 1 and path[1] in parts)
        if inside and not _COMPUTED.search(key):
            found.append(key)
    return sorted(found)


def report_unused(name: str, trunk: nn.Module, unexpected: Iterable[str]) -> None:
    """Warn in one line of weights of the trunk that are in the checkpoint and are not used."""
    if names := unused(trunk, unexpected):
        logger.warning(
            "model=%s: the checkpoint has %d weights that the model of its config.json does not "
            "use (the first is %s); the config.json may belong to another checkpoint",
            name, len(names), names[0],
        )  # fmt: skip
