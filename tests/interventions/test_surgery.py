"""Treating neurons gives what the model gives from which they were cut by hand."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probe.config import ModelConfig, Site
from probe.interventions.hooks import Sites
from probe.interventions.treatments import Treatment
from tests.interventions.models import ANY, LONG, logits, model_of
from tests.tiny_models import MLP_OUTPUT, WIDTH

# Projections into the MLP, and the parameters that each of its neurons owns.
INPUTS = {
    "llama": ["mlp.gate_proj", "mlp.up_proj"],
    "gemma3_text": ["mlp.gate_proj", "mlp.up_proj"],
    "gpt2": ["mlp.c_fc"],
    "opt": ["fc1"],
    "gpt_neox": ["mlp.dense_h_to_4h"],
}
OWNED = {"llama": 3 * WIDTH, "gemma3_text": 3 * WIDTH}
LAYER, CUT = 1, [2, 3, 17, 39]
# Keys' and values' heads, each with two heads of queries, and their width.
GROUPS, EACH, HEAD = 2, 2, 4


def keep_rows(projection: Any, rows: list[int]) -> None:
    """Cut outputs off a linear layer, or off GPT-2's, which stores its weights transposed."""
    transposed = not isinstance(projection, nn.Linear)
    weight = projection.weight.data
    projection.weight = nn.Parameter(weight[:, rows] if transposed else weight[rows])
    if projection.bias is not None:
        projection.bias = nn.Parameter(projection.bias.data[rows])
    if transposed:
        projection.nf = len(rows)


def keep_columns(projection: Any, columns: list[int]) -> Tensor:
    """Cut inputs off, and return what they were multiplied by, (n_outputs, n_cut)."""
    transposed = not isinstance(projection, nn.Linear)
    weight = projection.weight.data.T if transposed else projection.weight.data
    cut = [column for column in range(weight.shape[1]) if column not in columns]
    kept = weight[:, columns]
    projection.weight = nn.Parameter((kept.T if transposed else kept).contiguous())
    return weight[:, cut]


def parameters_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def without_neurons(architecture: str) -> tuple[Any, Any, Tensor]:
    """Cut neurons out of an MLP; also return its output projection and their columns of it."""
    model = deepcopy(model_of(architecture))
    block = Sites(model, ANY, Site.mlp, [LAYER]).blocks[LAYER]
    output = block.get_submodule(MLP_OUTPUT[architecture])
    kept = [neuron for neuron in range(40) if neuron not in CUT]
    for name in INPUTS[architecture]:
        keep_rows(block.get_submodule(name), kept)
    return model, output, keep_columns(output, kept)


def chosen(*neurons: int, of: int) -> Tensor:
    mask = torch.zeros(1, of, dtype=torch.bool)
    mask[0, list(neurons)] = True
    return mask


@pytest.mark.parametrize("architecture", INPUTS)
def test_neurons_set_to_zero_are_neurons_cut_out(architecture: str) -> None:
    whole = model_of(architecture)
    with Sites(whole, ANY, Site.mlp, [LAYER]).edited(
        {LAYER: lambda x: Treatment("zero")(x, chosen(*CUT, of=40))}
    ):
        treated = logits(whole)
    cut, _, _ = without_neurons(architecture)
    torch.testing.assert_close(treated, logits(cut), rtol=0, atol=1e-5)
    assert (treated - logits(whole)).abs().max() > 1e-3
    owned = OWNED.get(architecture, 2 * WIDTH + 1)
    assert parameters_of(whole) - parameters_of(cut) == owned * len(CUT)


@pytest.mark.parametrize("architecture", INPUTS)
def test_neurons_set_to_their_mean_are_cut_out_and_their_mean_is_a_bias(architecture: str) -> None:
    mean = torch.linspace(-1, 1, 40)
    whole = model_of(architecture)
    with Sites(whole, ANY, Site.mlp, [LAYER]).edited(
        {LAYER: lambda x: Treatment("mean")(x, chosen(*CUT, of=40), mean)}
    ):
        treated = logits(whole)
    cut, output, columns = without_neurons(architecture)
    bias = columns @ mean[CUT]
    output.bias = nn.Parameter(bias if output.bias is None else output.bias.data + bias)
    torch.testing.assert_close(treated, logits(cut), rtol=0, atol=1e-5)


def test_heads_set_to_zero_are_heads_cut_out() -> None:
    """A group of heads that share keys and values, in front of attention's output projection."""
    at_heads = ModelConfig(path="tiny", mlp_output="self_attn.o_proj")
    width = GROUPS * EACH * HEAD
    lost = list(range(EACH * HEAD))  # the first group
    whole = model_of("llama")
    with Sites(whole, at_heads, Site.mlp, [LAYER]).edited(
        {LAYER: lambda x: Treatment("zero")(x, chosen(*lost, of=width))}
    ):
        treated = logits(whole)
    cut = deepcopy(whole)
    attention = cut.model.layers[LAYER].self_attn
    keep_rows(attention.q_proj, list(range(EACH * HEAD, width)))
    for shared in (attention.k_proj, attention.v_proj):
        keep_rows(shared, list(range(HEAD, GROUPS * HEAD)))
    keep_columns(attention.o_proj, list(range(EACH * HEAD, width)))
    torch.testing.assert_close(treated, logits(cut), rtol=0, atol=1e-5)
    assert (treated - logits(whole, [LONG])).abs().max() > 1e-3
