"""MLP neurons and attention outputs in float64, from a layer's inputs and weights.

What goes into an MLP or an attention is noted in a float64 model; what becomes of it is written out
here: the activation of the gate times the rest, or of the one projection, and softmax attention
(`attention.py`). Where that is not written out, of the heads' outputs the product with the
attention's output weights.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.activations import ACT2FN

from probe.config import ModelConfig, Site
from probe.errors import UserError
from probe.models import find_blocks
from tests.models.table.attention import WRITTEN, attention_of, heads, project

Formula = Callable[[Tensor], Tensor]
# By layer: (n_tokens, n_neurons).
Series = dict[int, NDArray[np.float64]]
# Where a block's MLP begins (what goes into it), and its first projections.
_GATED = (("gate_proj", "up_proj", "down_proj"), ("w1", "w3", "w2"))
_JOINT = ("gate_up_proj", "Wi")
_PLAIN = ("c_fc", "dense_h_to_4h", "fc1", "fc_in", "up_proj", "lin1")
_OUTPUT = (
    "self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "attn.c_proj", "attn.out_proj",
    "self_attention.dense", "attention.dense", "attention.output.dense", "self_attn.c_proj",
    "attn.attention.out_proj", "attn.Wo", "attention.out_lin",
)  # fmt: skip


_ACTIVATIONS = (
    "hidden_act", "hidden_activation", "activation_function", "activation", "mlp_hidden_act", "afn",
)  # fmt: skip
# Whatever its configuration says.
_FIXED = {
    "openai-gpt": "gelu_new",
    "bloom": "gelu_pytorch_tanh",
    "mpt": "gelu",
    "rwkv": "relu",
    "ctrl": "relu",
    "esm": "gelu",
    "xlm": "gelu",
    "flaubert": "gelu",
    "lfm2": "silu",
}


def activation(config: Any) -> Formula:
    """Return the activation that a configuration names, or that its kind of model has always."""
    names = (getattr(config, name, None) for name in _ACTIVATIONS)
    name = _FIXED.get(config.model_type) or next(filter(None, names), "gelu")
    found: Formula = ACT2FN[name]
    return found


@contextmanager
def in_float64() -> Iterator[None]:
    """Make what models make anew, such as masks, in float64, too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def mlp_neurons(block: nn.Module, config: Any) -> tuple[nn.Module, Formula]:
    """Return the module into which a block's MLP input goes, and the formula of its neurons."""
    if config.model_type == "apertus":
        raise UserError("its activation, which has weights, is not written down")
    act = activation(config)
    for path, owner in block.named_modules():
        names = dict(owner.named_children())
        if "experts" in path or "shared" in path:
            continue
        for gate, up, down in _GATED:
            if {gate, up, down} <= names.keys():
                one, other = names[gate], names[up]
                return one, lambda x, g=one, u=other: act(project(g, x)) * project(u, x)
        for joint in _JOINT:
            if isinstance(names.get(joint), nn.Linear):
                return names[joint], partial(_joint, names[joint], act)
        if path.endswith("intermediate") and "dense" in names:
            names = {"fc1": names["dense"]}
        if first := next((names[name] for name in _PLAIN if name in names), None):
            return first, lambda x, f=first: act(project(f, x))
    raise UserError("no formula is written down for its MLP")


def _joint(module: nn.Module, act: Formula, x: Tensor) -> Tensor:
    gate, up = project(module, x).chunk(2, dim=-1)
    return act(gate) * up


def attention_output(block: nn.Module) -> tuple[nn.Module, Formula]:
    """Return the module into which the heads' outputs go, and what it makes of them."""
    parts = dict(block.named_modules())
    for path in _OUTPUT:
        if path in parts:
            module = parts[path]
            return module, lambda x, m=module: project(m, x)
    raise UserError("no formula is written down for its attention")


def attention_from_weights(block: nn.Module, config: Any, layer: int) -> tuple[nn.Module, Formula]:
    """Return the attention, and all that it makes of its input, see `WRITTEN`."""
    attention = attention_of(block)
    assert attention is not None, config.model_type
    _, output = attention_output(block)
    return attention, lambda x: output(heads(attention, config, layer, x[0])[None])


def by_hand(trunk: Any, model: ModelConfig, site: Site, texts: list[list[int]]) -> list[Series]:
    """Return the neurons of every layer that has them, by text, (n_tokens, n_neurons) each."""
    return [_by_hand(copy.deepcopy(trunk), model, site, ids) for ids in texts]


def _by_hand(trunk: Any, model: ModelConfig, site: Site, ids: list[int]) -> Series:
    config, inputs, formulas = trunk.config.get_text_config(), dict[int, Tensor](), {}

    def note(layer: int, _: nn.Module, given: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        first = given[0] if given else named["hidden_states"]
        inputs.setdefault(layer, first.clone())

    for layer, block in enumerate(find_blocks(trunk, model)):
        with suppress(UserError):
            if site is Site.mlp:
                place, formulas[layer] = mlp_neurons(block, config)
            elif config.model_type in WRITTEN:
                place, formulas[layer] = attention_from_weights(block, config, layer)
            else:
                place, formulas[layer] = attention_output(block)
            place.register_forward_pre_hook(partial(note, layer), with_kwargs=True)
    with in_float64():
        trunk(input_ids=torch.tensor([ids]))
        found = {layer: formulas[layer](x) for layer, x in inputs.items()}
    if not found:
        raise UserError(f"no formula is written down for its {site.value}")
    series = {}
    for layer, x in found.items():
        x = x if x.dim() == 3 else x[None]
        series[layer] = x[0, : len(ids)].double().numpy()  # some pad inside
    return series
