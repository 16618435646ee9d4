"""Locate a trunk's decoder blocks, and in each the modules whose neurons are read."""

from typing import Any

from torch import nn

from probe.config import ModelConfig, Site
from probe.errors import UserError

# Names of a block's MLP output projection and attention module in the architectures of
# transformers, most specific first.
MLP_OUTPUTS = (
    "mlp.down_proj",  # Llama, Qwen, Mistral, Gemma, OLMo
    "mlp.c_proj",  # GPT-2
    "mlp.dense_4h_to_h",  # Pythia, Bloom, Falcon
    "mlp.fc2",  # Phi
    "mlp.fc_out",  # GPT-J
    "feed_forward.w2",
    "output.dense",  # BERT
    "fc2",  # OPT, Galactica
)
ATTENTIONS = (
    "self_attn",  # Llama, Qwen, OPT
    "attention.output.dense",  # BERT, before the residual is added
    "attn.attention",  # GPT-Neo
    "attn",  # GPT-2
    "self_attention.dense",  # Falcon, and Bloom, before the residual is added
    "attention",  # Pythia
)


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


def find_mlp_output(block: nn.Module, model: ModelConfig) -> nn.Module:
    """Find the output projection of a block's MLP, whose input are the MLP's neurons."""
    return _member(block, model.mlp_output, MLP_OUTPUTS, "model.mlp_output", Site.mlp)


def find_attention(block: nn.Module, model: ModelConfig) -> nn.Module:
    """Find a block's attention module, whose output goes to the residual stream."""
    return _member(block, model.attention, ATTENTIONS, "model.attention", Site.attention)


def _member(
    block: nn.Module, path: str | None, candidates: tuple[str, ...], key: str, site: Site
) -> nn.Module:
    for candidate in [path] if path is not None else candidates:
        member = _get(block, candidate)
        if member is not None:
            return member
    children = ", ".join(name for name, _ in block.named_modules() if name)
    setting = f"{key}={path}" if path is not None else f"site={site.value}"
    raise UserError(
        f"{setting} finds no such part in {type(block).__name__}; give {key}=, one of {children}"
    )


def _lists(trunk: nn.Module) -> dict[str, nn.ModuleList]:
    return {p: m for p, m in trunk.named_modules() if isinstance(m, nn.ModuleList)}


def _get(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
