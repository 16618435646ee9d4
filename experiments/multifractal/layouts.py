"""Which weights lead from which neurons of a block to which, for every architecture."""

from dataclasses import dataclass
from typing import Any

from probe.api import UserError

# Layers of neurons in a block, in the order of computation: its input, what is projected for
# attention (fused or not), what attention mixes over tokens, the residual stream behind it, what a
# gated MLP multiplies, its hidden units. `output` is the next block's input.
FUSED = "query, key, value"
ORDER = ("input", FUSED, "query", "key", "value", "mixed", "attended", "gate", "up", "hidden")

# From, to, and the weight between them.
Map = tuple[str, str, str]
_LLAMA: tuple[Map, ...] = (
    ("input", "query", "self_attn.q_proj.weight"),
    ("input", "key", "self_attn.k_proj.weight"),
    ("input", "value", "self_attn.v_proj.weight"),
    ("mixed", "attended", "self_attn.o_proj.weight"),
    ("attended", "gate", "mlp.gate_proj.weight"),
    ("attended", "up", "mlp.up_proj.weight"),
    ("hidden", "output", "mlp.down_proj.weight"),
)
_OPT: tuple[Map, ...] = (
    ("input", "query", "self_attn.q_proj.weight"),
    ("input", "key", "self_attn.k_proj.weight"),
    ("input", "value", "self_attn.v_proj.weight"),
    ("mixed", "attended", "self_attn.out_proj.weight"),
    ("attended", "hidden", "fc1.weight"),
    ("hidden", "output", "fc2.weight"),
)
_GPT2: tuple[Map, ...] = (
    ("input", FUSED, "attn.c_attn.weight"),
    ("mixed", "attended", "attn.c_proj.weight"),
    ("attended", "hidden", "mlp.c_fc.weight"),
    ("hidden", "output", "mlp.c_proj.weight"),
)
_NEOX: tuple[Map, ...] = (
    ("input", FUSED, "attention.query_key_value.weight"),
    ("mixed", "attended", "attention.dense.weight"),
    ("attended", "hidden", "mlp.dense_h_to_4h.weight"),
    ("hidden", "output", "mlp.dense_4h_to_h.weight"),
)
# Attention and MLP read the same input and add to the same output, as in Pythia.
_NEOX_PARALLEL: tuple[Map, ...] = (
    ("input", FUSED, "attention.query_key_value.weight"),
    ("mixed", "output", "attention.dense.weight"),
    ("input", "hidden", "mlp.dense_h_to_4h.weight"),
    ("hidden", "output", "mlp.dense_4h_to_h.weight"),
)
_MAPS = {
    **dict.fromkeys(
        ("llama", "mistral", "olmo2", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"), _LLAMA
    ),
    "opt": _OPT,
    "gpt2": _GPT2,
    "gpt_neox": _NEOX,
}


@dataclass(frozen=True)
class Layout:
    """The maps between a block's neurons, and how many of these there are.

    Attributes
    ----------
    maps : tuple of (str, str, str)
        From, to, and the name of the weight.
    blocks, width, hidden : int
        Number of blocks, width of the residual stream, hidden units of the MLP.
    heads, key_heads, head : int
        Heads of queries, heads of keys and values, and neurons of each.
    place : str
        Name of the list of blocks in the checkpoint.
    by_head : bool
        Whether a fused weight has query, key and value of one head after the other, not thirds.
    transposed : bool
        Whether weights are stored as (n_in, n_out).
    published : bool
        Whether neurons and invented edges are those of the published code, right or not.
    """

    maps: tuple[Map, ...]
    blocks: int
    width: int
    hidden: int
    heads: int
    key_heads: int
    head: int
    place: str = "layers"
    by_head: bool = False
    transposed: bool = False
    published: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers of neurons of a block, in the order of computation."""
        return tuple(name for name in ORDER if any(name in ends[:2] for ends in self.maps))

    @property
    def attended(self) -> int:
        """Number of neurons that attention mixes, which are as many as queries."""
        return self.heads * self.head

    @property
    def told(self) -> str:
        """Sizes in words."""
        return (
            f"{self.blocks} blocks of width {self.width} with {self.attended} attended neurons and "
            f"{self.hidden} hidden units"
        )

    @property
    def weights(self) -> int:
        """Number of weights between neurons in all blocks."""
        shapes = (self.shape(source, target) for source, target, _ in self.maps)
        return self.blocks * sum(n_in * n_out for n_in, n_out in shapes)

    def shape(self, source: str, target: str) -> tuple[int, int]:
        """Return the shape (n_in, n_out) of the weight between two layers."""
        keys = self.key_heads * self.head
        sizes = {
            FUSED: 3 * self.attended, "query": self.attended, "key": keys, "value": keys,
            "mixed": self.attended, "gate": self.hidden, "up": self.hidden, "hidden": self.hidden,
        }  # fmt: skip
        return sizes.get(source, self.width), sizes.get(target, self.width)


def layout(config: Any, model: str, published: bool = False) -> Layout:
    """Return the layout of a model by its (Hugging Face) configuration.

    Parameters
    ----------
    config
        Of the model, or of the text part of one that sees.
    model : str
        Its name, for messages.
    published : bool
        Lay GPT-NeoX out as the published code does: thirds of the fused weight, one after the
        other, and an MLP behind attention. Others have no published layout.

    Raises
    ------
    UserError
        If there are no maps for the architecture.
    """
    text = config.get_text_config()
    kind = text.model_type
    if kind not in _MAPS:
        raise UserError(
            f"model={model}: there are no maps of weights for {kind}, only for "
            f"{', '.join(sorted(_MAPS))}; give its matrices to "
            "experiments.multifractal.matrices.analyse, in the order of computation"
        )
    neox, heads = kind == "gpt_neox", text.num_attention_heads
    parallel = neox and text.use_parallel_residual and not published
    hidden = getattr(text, "intermediate_size", None) or getattr(text, "ffn_dim", None)
    return Layout(
        maps=_NEOX_PARALLEL if parallel else _MAPS[kind],
        blocks=text.num_hidden_layers,
        width=text.hidden_size,
        hidden=hidden or getattr(text, "n_inner", None) or 4 * text.hidden_size,
        heads=heads,
        key_heads=getattr(text, "num_key_value_heads", None) or heads,
        head=getattr(text, "head_dim", None) or text.hidden_size // heads,
        place="h" if kind == "gpt2" else "layers",
        by_head=neox and not published,
        transposed=kind == "gpt2",
        published=neox and published,
    )
