"""Locate a trunk's decoder blocks."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from probe.config import ModelConfig
from probe.errors import UserError


def text_config(trunk: nn.Module) -> Any:
    """Return the part of the configuration that describes the decoder."""
    config: Any = trunk.config
    return config.get_text_config()


def text_part(trunk: nn.Module) -> nn.Module:
    """Return the part that reads text, without a head.

    CLIP wants an image beside the text; AutoModel gives Llama 4 with its head.
    """
    if hasattr(trunk, "get_text_features"):
        text: nn.Module = trunk.text_model  # type: ignore[assignment]
        return text
    parts = (part for part in trunk.modules() if _reads_tokens(part))
    return next(parts, trunk) if _has_head(trunk) else trunk


def _has_head(part: Any) -> bool:
    return isinstance(part, PreTrainedModel) and part.get_output_embeddings() is not None


def _reads_tokens(part: Any) -> bool:
    """Whether a part of a model is a trunk that embeds tokens."""
    if not isinstance(part, PreTrainedModel) or _has_head(part):
        return False
    words = part.config.get_text_config()
    embeds = [one for one in part.children() if isinstance(one, nn.Embedding)]
    return any(one.num_embeddings == getattr(words, "vocab_size", None) for one in embeds)


def find_blocks(trunk: nn.Module, model: ModelConfig) -> nn.ModuleList:
    """Find the list of decoder (or encoder) blocks.

    It is the outermost `ModuleList` with as many members as the configuration has layers, or as
    groups of layers that share a block (ALBERT).

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
                f"{', '.join(block_lists(trunk)) or 'none'}"
            )
        return blocks
    config = text_config(trunk)
    layers = getattr(config, "num_hidden_layers", None)
    layers = getattr(config, "num_hidden_groups", layers)
    lists = {path: blocks for path, blocks in block_lists(trunk).items() if len(blocks) == layers}
    depth = min((path.count(".") for path in lists), default=0)
    outermost = [path for path in lists if path.count(".") == depth]
    if len(outermost) != 1:
        what = "several lists" if outermost else "no list"
        raise UserError(
            f"{type(trunk).__name__} has {what} of {layers} blocks; say which with model.blocks=, "
            f"one of {', '.join(outermost or block_lists(trunk)) or 'none'}"
        )
    return lists[outermost[0]]


def count_layers(trunk: nn.Module, blocks: nn.ModuleList) -> int:
    """Return the number of layers: the configuration's if there are fewer blocks, else theirs."""
    config = text_config(trunk) if hasattr(trunk, "config") else None
    return max(len(blocks), getattr(config, "num_hidden_layers", None) or 0)


def block_lists(trunk: nn.Module) -> dict[str, nn.ModuleList]:
    """Return every list of modules in a trunk, by its path."""
    return {p: m for p, m in trunk.named_modules() if isinstance(m, nn.ModuleList)}


def _get(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
