"""Locate a trunk's decoder blocks."""

from typing import Any

from torch import nn

from probe.config import ModelConfig
from probe.errors import UserError


def text_config(trunk: nn.Module) -> Any:
    """Return the part of the configuration that describes the decoder."""
    config: Any = trunk.config
    return config.get_text_config()


def find_blocks(trunk: nn.Module, model: ModelConfig) -> nn.ModuleList:
    """Find the list of decoder (or encoder) blocks.

    It is the outermost `ModuleList` with as many members as the configuration has layers.

    Raises
    ------
    UserError
        If there is no such list or several, naming the key to set.
    """
    if model.blocks is not None:
        blocks = _get(trunk, model.blocks)
        if not isinstance(blocks, nn.ModuleList):
            raise UserError(
                f"model.blocks={model.blocks} is not a list of blocks; choose from "
                f"{', '.join(_lists(trunk)) or 'none'}"
            )
        return blocks
    layers = getattr(text_config(trunk), "num_hidden_layers", None)
    lists = {path: blocks for path, blocks in _lists(trunk).items() if len(blocks) == layers}
    depth = min((path.count(".") for path in lists), default=0)
    outermost = [path for path in lists if path.count(".") == depth]
    if len(outermost) != 1:
        what = "several lists" if outermost else "no list"
        raise UserError(
            f"{type(trunk).__name__} has {what} of {layers} blocks; say which with model.blocks=, "
            f"one of {', '.join(outermost or _lists(trunk)) or 'none'}"
        )
    return lists[outermost[0]]


def _lists(trunk: nn.Module) -> dict[str, nn.ModuleList]:
    return {p: m for p, m in trunk.named_modules() if isinstance(m, nn.ModuleList)}


def _get(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
