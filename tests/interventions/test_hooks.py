"""Hooks change what they say, at every site of six architectures, and leave nothing behind."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from probe.config import ModelConfig, Side, Site
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.extraction.activations import Reader
from probe.interventions.hooks import Edit, Sites
from probe.interventions.treatments import Treatment
from tests.interventions.models import (
    ANY,
    ARCHITECTURES,
    LONG,
    PLACES,
    SHORT,
    folder_of,
    layers_of,
    logits,
    model_of,
    padded,
)
from tests.tiny_models import LAYERS, MLP_OUTPUT, WIDTH

places = pytest.mark.parametrize(("architecture", "site"), PLACES)
MLPS = [name for name in ARCHITECTURES if name != "mamba"]


def neurons(width: int, *chosen: int) -> Tensor:
    mask = torch.zeros(1, width, dtype=torch.bool)
    mask[0, list(chosen)] = True
    return mask


def doing(treatment: Treatment, *chosen: int) -> Edit:
    """Treat some neurons of however wide a layer."""
    return lambda x: treatment(x, neurons(x.shape[-1], *chosen), torch.full(x.shape[-1:], 0.7))


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@places
def test_what_does_nothing_changes_no_bit(architecture: str, site: Site) -> None:
    model = model_of(architecture)
    sites = Sites(model, ANY, site, layers_of(site))
    before = logits(model, [LONG, SHORT])
    idle = [
        doing(Treatment("zero")),
        doing(Treatment("mean")),
        doing(Treatment("scale", 1), 0, 3),
        doing(Treatment("add", 0), 0, 3),
        doing(Treatment("scale", 5)),
    ]
    for edit in idle:
        with sites.edited(dict.fromkeys(sites.layers, edit)):
            assert torch.equal(logits(model, [LONG, SHORT]), before)
    with sites.edited(dict.fromkeys(sites.layers, doing(Treatment("zero"), 0, 3))):
        assert not torch.equal(logits(model, [LONG, SHORT]), before)
    assert hooks_of(model) == 0
    assert torch.equal(logits(model, [LONG, SHORT]), before)


@places
def test_an_edit_gets_what_the_reader_reads(architecture: str, site: Site) -> None:
    model, layers, seen = model_of(architecture), layers_of(site), dict[int, Tensor]()
    sites = Sites(model, ANY, site, layers)

    def keep(layer: int, x: Tensor) -> Tensor:
        seen[layer] = x
        return x

    batch = Batch([0, 1], [LONG, LONG[::-1]]).tensors(0, Side.right, 0)
    with sites.edited({layer: partial(keep, layer) for layer in layers}):
        logits(model, [LONG, LONG[::-1]])
    Reader(model.base_model, ANY, layers, site).read(
        batch, lambda layer, x: torch.testing.assert_close(seen.pop(layer), x, rtol=0, atol=0)
    )
    assert not seen


@places
@pytest.mark.parametrize("side", list(Side))
def test_padding_changes_nothing(architecture: str, site: Site, side: Side) -> None:
    model = model_of(architecture)
    sites = Sites(model, ANY, site, layers_of(site))
    edit = doing(Treatment("add", 0.5), 1, 4)
    with sites.edited(dict.fromkeys(sites.layers, edit)):
        inputs = padded([LONG, SHORT], side)
        if side is Side.left and architecture in ("gpt2", "gpt_neox", "llama", "gemma3_text"):
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            together = model(**inputs, use_cache=False).logits
        for row, tokens in enumerate((LONG, SHORT)):
            real = inputs["attention_mask"][row].bool()
            alone = logits(model, [tokens])[0]
            torch.testing.assert_close(together[row][real], alone, rtol=1e-5, atol=1e-5)


def test_texts_have_neurons_of_their_own() -> None:
    """In OPT, too, whose MLP gets the tokens of all texts in one row."""
    model = model_of("opt")
    sites = Sites(model, ANY, Site.mlp, [1])
    own = torch.zeros(2, 40, dtype=torch.bool)
    own[0, 3], own[1, [5, 7]] = True, True
    with sites.edited({1: lambda x: Treatment("add", 2.0)(x, own)}):
        both = logits(model, [LONG, LONG])
    for row, chosen in enumerate(own):
        one = chosen[None]
        with sites.edited({1: lambda x, one=one: Treatment("add", 2.0)(x, one)}):
            alone = logits(model, [LONG])
        torch.testing.assert_close(both[row], alone[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", MLPS)
def test_masking_a_neuron_is_zeroing_its_column(architecture: str) -> None:
    unit, layer = 6, 1
    hooked, edited = (
        model_of(architecture),
        AutoModelForCausalLM.from_pretrained(folder_of(architecture)),
    )
    with Sites(hooked, ANY, Site.mlp, [layer]).edited({layer: doing(Treatment("zero"), unit)}):
        masked = logits(hooked)
    blocks = Sites(edited, ANY, Site.mlp, [layer]).blocks
    weight: Tensor = blocks[layer].get_submodule(MLP_OUTPUT[architecture]).weight.data
    # GPT-2 stores its weights transposed.
    weight = weight if weight.shape[0] == WIDTH else weight.T
    assert weight.shape[0] == WIDTH
    weight[:, unit] = 0
    torch.testing.assert_close(masked, logits(edited.eval()), rtol=0, atol=1e-6)
    assert (masked - logits(hooked)).abs().max() > 1e-4


@pytest.mark.parametrize("architecture", MLPS)
def test_masking_an_output_is_zeroing_its_row_and_bias(architecture: str) -> None:
    unit, layer = 6, 1
    hooked, edited = (
        model_of(architecture),
        AutoModelForCausalLM.from_pretrained(folder_of(architecture)),
    )
    sites = Sites(hooked, ANY, Site.mlp_output, [layer])
    with sites.edited({layer: doing(Treatment("zero"), unit)}):
        masked = logits(hooked)
    projection: Any = sites.blocks[layer].get_submodule(MLP_OUTPUT[architecture])
    own: Any = (
        Sites(edited, ANY, Site.mlp_output, [layer])
        .blocks[layer]
        .get_submodule(MLP_OUTPUT[architecture])
    )
    with torch.no_grad():
        if projection.weight.shape[0] == WIDTH:
            own.weight[unit] = 0
        else:
            own.weight[:, unit] = 0
        if getattr(own, "bias", None) is not None:
            own.bias[unit] = 0
    torch.testing.assert_close(masked, logits(edited.eval()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", MLPS)
def test_masking_a_neuron_generates_what_the_zeroed_column_does(architecture: str) -> None:
    """With a cache of keys and values, two texts at once, padded on the left."""
    hooked, edited = (
        model_of(architecture),
        AutoModelForCausalLM.from_pretrained(folder_of(architecture)).eval(),
    )
    for block in Sites(edited, ANY, Site.mlp, [0]).blocks:
        weight = block.get_submodule(MLP_OUTPUT[architecture]).weight.data
        (weight if weight.shape[0] == WIDTH else weight.T)[:, :9] = 0
    inputs = padded([LONG, SHORT], Side.left)
    options = {
        "max_new_tokens": 8, "do_sample": False, "use_cache": True, "eos_token_id": None,
        "pad_token_id": 0, "output_scores": True, "return_dict_in_generate": True,
    }  # fmt: skip
    sites = Sites(hooked, ANY, Site.mlp, range(LAYERS))
    with sites.edited(dict.fromkeys(sites.layers, doing(Treatment("zero"), *range(9)))):
        found = hooked.generate(**inputs, **options)
    expected = edited.generate(**inputs, **options)
    assert torch.equal(found.sequences, expected.sequences)
    for one, other in zip(found.scores, expected.scores, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert hooks_of(hooked) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_generated_with_a_cache_is_what_is_read_without(architecture: str) -> None:
    model = model_of(architecture)
    sites = Sites(model, ANY, Site.residual, range(LAYERS))
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with sites.edited(dict.fromkeys(sites.layers, doing(Treatment("add", 1.5), 2, 9))):
        text = model.generate(**padded([LONG], Side.left), **options, use_cache=True)[0].tolist()
        again = logits(model, [text])[0].argmax(-1).tolist()
    assert text[len(LONG) :] == again[len(LONG) - 1 : -1]


def test_an_exception_leaves_no_hook() -> None:
    model = model_of("gpt2")
    before = logits(model)
    sites = Sites(model, ANY, Site.attention, [0, 2])

    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"), sites.edited({0: fail, 2: fail}):
        logits(model)
    assert hooks_of(model) == 0
    assert torch.equal(logits(model), before)


def test_the_last_residual_is_what_the_head_reads() -> None:
    model = model_of("llama")
    sites = Sites(model, ANY, Site.residual, [LAYERS - 1])
    with sites.edited({LAYERS - 1: doing(Treatment("zero"), *range(WIDTH))}):
        assert (logits(model) == 0).all()


def test_a_layer_that_is_not_there_is_told() -> None:
    model = model_of("gpt2")
    for layer in (LAYERS, -1):
        with pytest.raises(UserError, match=f"^layer {layer} is not in the model, whose layers"):
            Sites(model, ANY, Site.mlp, [0, layer])
    sites = Sites(model, ANY, Site.mlp, [0, 2])
    with (
        pytest.raises(UserError, match=r"^layer 1 is none of 0, 2, which these sites are of; give"),
        sites.edited({1: lambda x: x}),
    ):
        pass
    assert hooks_of(model) == 0


def test_a_head_that_is_not_named_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("llama")
    monkeypatch.setattr(type(model), "get_output_embeddings", lambda _: None)
    with pytest.raises(UserError, match="LlamaForCausalLM does not name its head"):
        Sites(model, ModelConfig(path="tiny"), Site.residual, [LAYERS - 1])
