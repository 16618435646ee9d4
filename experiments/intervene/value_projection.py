"""Weights of every neuron in a block's value projection."""

import torch
from torch import Tensor, nn

from probe.api import UserError

# Norms before a block's attention: Llama, Qwen, Gemma and Pythia; GPT-2; OPT. OLMo 2 has none.
_NORMS = ("input_layernorm", "ln_1", "self_attn_layer_norm")


def value_weights(block: nn.Module, n_heads: int) -> Tensor:
    """Return each neuron's weight in the values, `Σ_j |W_V[j, i]| |g_i|`.

    `g` is the weight of the norm before the attention, folded into the projection. The norm's
    scale of a whole token is omitted: it is the same for all neurons.

    Parameters
    ----------
    block : nn.Module
        The decoder block that reads the neurons.
    n_heads : int
        Its attention heads, for projections that store the queries, keys and values of a head
        together.

    Returns
    -------
    Tensor, shape (n_neurons,)
        Dimensionless.

    Raises
    ------
    UserError
        If the projection is not found.
    """
    weight = _value_projection(block, n_heads)
    if weight is None:
        raise UserError(
            f"study.select=weighted needs a value projection, and none was found in "
            f"{type(block).__name__}; leave weighted out of study.select"
        )
    return weight.abs().sum(dim=0) * _norm_weight(block, weight).abs()


def _value_projection(block: nn.Module, n_heads: int) -> Tensor | None:
    """Return `W_V`, shape (n_values, n_neurons)."""
    for path, module in block.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            continue
        name = path.rpartition(".")[2]
        rows, columns = weight.shape
        if name == "v_proj":
            return weight
        if name == "c_attn" and columns == 3 * rows:  # GPT-2 stores its weights transposed
            return weight[:, 2 * rows :].T
        if name == "query_key_value" and rows == 3 * columns:  # Pythia, Bloom: head by head
            return weight.reshape(n_heads, 3, -1, columns)[:, 2].flatten(0, 1)
    return None


def _norm_weight(block: nn.Module, like: Tensor) -> Tensor:
    """Measure the norm's weights, as Gemma stores them minus one."""
    n_neurons = like.shape[1]
    norm = next((getattr(block, name) for name in _NORMS if hasattr(block, name)), None)
    if norm is None:
        return like.new_ones(n_neurons)
    # Of mean 0 and mean square 1, which norms change by their weights and bias only.
    signs = like.new_ones(n_neurons)
    signs[1::2] = -1
    with torch.no_grad():
        weight: Tensor = (norm(signs[None, None]) - norm(-signs[None, None]))[0, 0] / 2
    return weight
