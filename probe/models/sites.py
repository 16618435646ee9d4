"""Locate the modules of a block whose inputs or outputs are the neurons of a site."""

from dataclasses import dataclass
from operator import attrgetter

from torch import nn

from probe.config import ModelConfig, Site
from probe.errors import UserError


@dataclass(frozen=True)
class HookPoint:
    """Where the neurons of a layer are: what goes into a module, or what comes out of it.

    Attributes
    ----------
    module : nn.Module
        A decoder block, or a part of it.
    before : bool
        Whether the module's input is read, its first argument, and not its output, which may be
        the first of a tuple.
    """

    module: nn.Module
    before: bool


@dataclass(frozen=True)
class _Part:
    """A part of a block: the key that names it, and its usual names, most specific first."""

    key: str
    names: tuple[str, ...]


_PARTS = {
    Site.mlp: _Part(
        "mlp_output",
        (
            "mlp.down_proj",  # Llama, Qwen, Mistral, Gemma, OLMo
            "mlp.c_proj",  # GPT-2
            "mlp.dense_4h_to_h",  # Pythia, Bloom, Falcon
            "mlp.fc2",  # Phi
            "mlp.fc_out",  # GPT-J
            "feed_forward.w2",
            "feed_forward.down_proj",  # Falcon-H1, Bamba, dense layers of Llama 4
            "mlp.Wo",  # ModernBERT
            "ffn.lin2",  # DistilBERT
            "output.dense",  # BERT
            "fc2",  # OPT, Galactica
        ),
    ),
    Site.mlp_output: _Part(
        "mlp",
        (
            "mlp.dense_4h_to_h",  # Bloom, whose MLP adds the residual itself; Pythia, Falcon
            "ffn.down_proj",  # MPT, likewise
            "mlp",  # Llama, Qwen, Mistral, Gemma, OLMo, GPT-2, Phi, GPT-J; mixtures of experts
            "block_sparse_moe",
            "feed_forward",
            "ffn",
            "output.dense",  # BERT, before the residual is added
            "fc2",  # OPT, Galactica
        ),
    ),
    Site.attention: _Part(
        "attention",
        (
            "self_attn",  # Llama, Qwen, OPT
            "attention.output.dense",  # BERT, before the residual is added
            "attn.attention",  # GPT-Neo
            "attn",  # GPT-2
            "self_attention.dense",  # Falcon, and Bloom, before the residual is added
            "attention",  # Pythia
        ),
    ),
}


def find_hook_point(block: nn.Module, model: ModelConfig, site: Site) -> HookPoint:
    """Find where the neurons of a site are in a block.

    The residual of the last block, which is read behind the final norm, is in no block.

    Raises
    ------
    UserError
        If the block has no such part, naming the key to set.
    """
    module = _find(block, model, site, _PARTS[site]) if site in _PARTS else block
    return HookPoint(module, before=site in (Site.mlp, Site.embedding))


def _find(block: nn.Module, model: ModelConfig, site: Site, part: _Part) -> nn.Module:
    given = attrgetter(part.key)(model)
    members: dict[str, nn.Module] = dict(block.named_modules())
    for name in part.names if given is None else [given]:
        if name in members:
            return members[name]
    setting = f"site={site}" if given is None else f"model.{part.key}={given}"
    raise UserError(
        f"{setting} finds no such part in {type(block).__name__}; give model.{part.key}=, one of "
        f"{', '.join(filter(None, members))}"
    )
