"""Models whose blocks hand over something else than one tensor of one width, once."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from probe.config import ModelConfig, Side, Site
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.extraction.activations import Reader
from probe.extraction.layout import series

SIZE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 4,
    "num_attention_heads": 4, "max_position_embeddings": 160, "pad_token_id": 1,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "openai-gpt": {
        "vocab_size": 300, "n_positions": 160, "n_embd": 32, "n_layer": 4, "n_head": 4,
    },
    "longformer": SIZE | {"attention_window": 16, "sep_token_id": 2},
    "albert": SIZE | {"embedding_size": 16},
    "opt": {
        "vocab_size": 300, "hidden_size": 32, "ffn_dim": 40, "num_hidden_layers": 4,
        "num_attention_heads": 4, "max_position_embeddings": 160, "word_embed_proj_dim": 16,
        "do_layer_norm_before": False, "pad_token_id": 1,
    },
    "gemma3n_text": SIZE | {
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": [40] * 4,
        "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8, "laurel_rank": 8,
        "sliding_window": 64, "num_kv_shared_layers": 0, "altup_num_inputs": 4,
        "activation_sparsity_pattern": [0.0] * 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
}  # fmt: skip
ALL = [0, 1, 2, 3]


@cache
def trunk_of(kind: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trunk: nn.Module = AutoModel.from_config(AutoConfig.for_model(kind, **KINDS[kind]))
        for parameter in trunk.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return trunk.eval()


def batch(*lengths: int, side: Side = Side.right) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 300, (n,), generator=generator).tolist() for n in lengths]
    return Batch(list(range(len(rows))), rows).tensors(1, side, 0)


def read(trunk: nn.Module, tensors: Tensors, layers: list[int], **model: Any) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    site = model.pop("site", Site.residual)
    reader = Reader(trunk, ModelConfig(path="given", **model), layers, site)
    reader.read(tensors, lambda layer, x: found.update({layer: x.clone()}))
    return found


def own_states(trunk: nn.Module, tensors: Tensors) -> Any:
    with torch.no_grad():
        return trunk(input_ids=tensors.tokens, output_hidden_states=True)


@pytest.mark.parametrize("kind", ["openai-gpt", "longformer", "albert", "opt"])
def test_every_layer_is_the_models_own_hidden_state(kind: str) -> None:
    tensors = batch(21, 21)
    found = read(trunk_of(kind), tensors, ALL)
    own = own_states(trunk_of(kind), tensors)
    assert list(found) == ALL
    for layer in ALL[:-1]:
        assert torch.equal(found[layer], own.hidden_states[layer + 1])
    assert torch.equal(found[3], own.last_hidden_state)


@pytest.mark.parametrize("layers", [[0], [2], [1, 3]])
def test_a_block_that_all_layers_share_is_read_at_its_nth_call(layers: list[int]) -> None:
    found = read(trunk_of("albert"), batch(13), layers)
    states = own_states(trunk_of("albert"), batch(13)).hidden_states
    assert list(found) == layers
    assert all(torch.equal(found[layer], states[layer + 1]) for layer in layers)
    raw = read(trunk_of("albert"), batch(13), layers, site=Site.residual_raw)
    assert all(torch.equal(raw[layer], states[layer + 1]) for layer in layers)


@pytest.mark.parametrize("kind", ["openai-gpt", "albert", "opt"])
@pytest.mark.parametrize("layers", [[3], [1, 3]])
def test_before_the_final_norm_is_what_the_last_block_gives(kind: str, layers: list[int]) -> None:
    heard: list[Tensor] = []
    reader = Reader(trunk_of(kind), ModelConfig(path="given"), layers, Site.residual)
    reader.before_norm = lambda x: heard.append(x.clone())
    tensors = batch(13, 9)
    reader.read(tensors, lambda *_: None)
    [raw] = read(trunk_of(kind), tensors, [3], site=Site.residual_raw).values()
    assert torch.equal(heard[-1], raw)


@pytest.mark.parametrize(("layers", "site"), [([2], Site.residual), ([3], Site.mlp)])
def test_where_no_final_norm_is_between_nothing_is_handed_over(
    layers: list[int], site: Site
) -> None:
    reader = Reader(trunk_of("openai-gpt"), ModelConfig(path="given"), layers, site)
    reader.before_norm = lambda _: pytest.fail("it was handed over")
    reader.read(batch(13), lambda *_: None)


def test_of_streams_that_are_not_chosen_none_is_handed_over() -> None:
    trunk = trunk_of("gemma3n_text")
    reader = Reader(trunk, ModelConfig(path="given"), [3], Site.residual)
    reader.before_norm = lambda _: pytest.fail("which one?")
    reader.read(batch(9, 9), lambda *_: None)


def test_layers_have_their_own_widths() -> None:
    found = read(trunk_of("opt"), batch(9, 5), ALL)
    assert [x.shape[-1] for x in found.values()] == [32, 32, 32, 16]
    assert read(trunk_of("opt"), batch(9), [3], site=Site.residual_raw)[3].shape[-1] == 32


@pytest.mark.parametrize("stream", [0, 3])
def test_of_several_residual_streams_one_is_read(stream: int) -> None:
    trunk = trunk_of("gemma3n_text")
    found, own = read(trunk, batch(9, 9), ALL, stream=stream), own_states(trunk, batch(9, 9))
    for layer in ALL[:-1]:
        assert own.hidden_states[layer + 1].shape == (4, 2, 9, 32)
        assert torch.equal(found[layer], own.hidden_states[layer + 1][stream])
    assert torch.equal(found[3], own.last_hidden_state)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "layer 0 (layers.0, Gemma3nTextDecoderLayer) holds 4 residual streams; say which"),
        ({"stream": 4}, "holds 4 residual streams, of which 4 is none; say which with"),
    ],
)
def test_streams_are_never_joined_in_silence(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        read(trunk_of("gemma3n_text"), batch(9), ALL, **given)


def test_a_stream_of_a_model_with_one_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.stream=1 was given, but layer 0"):
        read(trunk_of("opt"), batch(9), [0], stream=1)


class Blocks(nn.Module):
    """A trunk whose blocks are called as a test says."""

    def __init__(self, run: Callable[[nn.ModuleList, Tensor], Tensor], *, named: bool = False):
        super().__init__()
        self.embed, self.run = nn.Embedding(300, 8), run
        self.layers = nn.ModuleList(Block() for _ in range(3))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        return {"last_hidden_state": self.run(self.layers, self.embed(input_ids))}


class Block(nn.Module):
    """A linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(8, 8)

    def forward(self, hidden: Tensor) -> Tensor:
        mapped: Tensor = self.map(hidden)
        return mapped


def test_a_block_that_is_never_called_is_named() -> None:
    trunk = Blocks(lambda layers, x: layers[0](x))
    with pytest.raises(UserError, match=r"layer 1 \(layers\.1, Block\) was not called when the"):
        read(trunk, batch(5), [0, 1], blocks="layers")


def test_a_block_that_is_called_twice_is_named() -> None:
    trunk = Blocks(lambda layers, x: layers[1](layers[0](layers[0](x))))
    with pytest.raises(UserError, match=r"layer 0 \(layers\.0, Block\) is called more than once"):
        read(trunk, batch(5), [0, 1], blocks="layers")


def test_an_input_that_is_given_by_name_is_read() -> None:
    trunk = Blocks(lambda layers, x: layers[0](hidden=x))
    found = read(trunk, batch(5), [0], blocks="layers", site=Site.embedding)
    assert torch.equal(found[0], trunk.embed(batch(5).tokens))


@pytest.mark.parametrize(
    ("shape", "right"),
    [((2, 5, 4), True), ((2, 8, 4), True), ((10, 4), True), ((5, 2, 4), False), ((2, 20), False),
     ((2, 4, 4), False), ((2, 3, 5, 4), False), ((16, 4), False)],
)  # fmt: skip
def test_a_shape_is_checked_and_never_forced(shape: tuple[int, ...], right: bool) -> None:
    value = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
    if right:
        cut = value if value.dim() == 3 else value.reshape(2, 5, 4)
        assert torch.equal(series([value, None], (2, 5), None, "layer 0"), cut[:, :5])
    else:
        said = re.escape(f"layer 0 has activations of shape {shape}, not (2, 5, neurons)")
        with pytest.raises(UserError, match=said):
            series(value, (2, 5), None, "layer 0")


@pytest.mark.parametrize("axis", [0, 2])
def test_streams_are_the_first_or_the_third_axis(axis: int) -> None:
    streams = [torch.randn(2, 5, 8) for _ in range(3)]
    for number, stream in enumerate(streams):
        assert torch.equal(series(torch.stack(streams, axis), (2, 5), number, "layer 0"), stream)


def test_what_is_no_tensor_is_named() -> None:
    with pytest.raises(UserError, match="layer 0 hands over a value of type NoneType"):
        series((None, torch.zeros(2, 5, 4)), (2, 5), None, "layer 0")
