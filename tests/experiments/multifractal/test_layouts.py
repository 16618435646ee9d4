"""The maps of every architecture lead along the weights that its model multiplies with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from experiments.multifractal.layouts import FUSED, Layout, layout
from experiments.multifractal.network import Network
from experiments.multifractal.reading import network, neurons
from probe.api import UserError
from probe.config import InitConfig, ModelConfig
from probe.models import open_weights
from tests.tiny_models import ARCHITECTURES, LAYERS, WIDTH, save_tiny

Array = NDArray[np.float32]
SIZE, SEED, HEADS = 8, 3, 4
MAPPED = sorted(ARCHITECTURES.keys() - {"bert"})


def by_hand(architecture: str, saved: dict[str, torch.Tensor], block: int) -> dict[str, Array]:
    """Weights of a block as (n_out, n_in), keys and values repeated for every head of queries."""
    ending = {"gpt2": f"h.{block}."}.get(architecture, f"layers.{block}.")
    own = {name.split(ending)[1]: w for name, w in saved.items() if ending in name}
    if architecture == "gpt2":
        query, key, value = own["attn.c_attn.weight"].T.chunk(3)
        dense, up = own["attn.c_proj.weight"].T, own["mlp.c_fc.weight"].T
        found = {"dense": dense, "up": up, "down": own["mlp.c_proj.weight"].T}
    elif architecture == "gpt_neox":
        fused = own["attention.query_key_value.weight"].view(HEADS, 3, -1, WIDTH)
        query, key, value = (fused[:, part].reshape(-1, WIDTH) for part in range(3))
        found = {
            "dense": own["attention.dense.weight"], "up": own["mlp.dense_h_to_4h.weight"],
            "down": own["mlp.dense_4h_to_h.weight"],
        }  # fmt: skip
    else:
        query, key, value = (own[f"self_attn.{one}_proj.weight"] for one in "qkv")
        head = len(query) // HEADS
        key, value = (
            one.view(-1, head, WIDTH).repeat_interleave(len(query) // len(one), 0).flatten(0, 1)
            for one in (key, value)
        )
        if architecture == "opt":
            found = {
                "dense": own["self_attn.out_proj.weight"], "up": own["fc1.weight"],
                "down": own["fc2.weight"],
            }  # fmt: skip
        else:
            found = {
                "dense": own["self_attn.o_proj.weight"], "gate": own["mlp.gate_proj.weight"],
                "up": own["mlp.up_proj.weight"], "down": own["mlp.down_proj.weight"],
            }  # fmt: skip
    found |= {"query": query, "key": key, "value": value}
    return {name: one.float().numpy() for name, one in found.items()}


def read(folder: Path, published: bool = False) -> tuple[Network, Layout, list[Any]]:
    used = layout(AutoConfig.from_pretrained(folder), "tiny", published)
    drawn = neurons(used, SIZE, SEED)
    weights = open_weights(ModelConfig(path=str(folder)), InitConfig())
    return network(weights, used, drawn), used, drawn


def between(found: Network, used: Layout, block: int, source: str, target: str) -> Array:
    """Weights (n_source, n_target) between two layers of a block; `output` is of the next."""
    layers = (*used.layers, "output")
    start = block * len(used.layers)
    [link] = [
        link
        for link in found.links
        if (link.source, link.target)
        == (start + layers.index(source), start + layers.index(target))
    ]
    return np.asarray(link.weights, dtype=np.float32)


@pytest.mark.parametrize("block", [0, LAYERS - 1])
@pytest.mark.parametrize("architecture", MAPPED)
def test_links_are_the_weights_cut_by_hand(architecture: str, block: int, tmp_path: Path) -> None:
    folder = save_tiny(architecture, tmp_path)
    found, used, drawn = read(folder)
    expected = by_hand(architecture, load_file(folder / "model.safetensors"), block)
    inputs, mixed, attended, hidden, output = drawn[4 * block : 4 * block + 5]
    parallel = architecture == "gpt_neox"
    middle, stream = ("output", output) if parallel else ("attended", attended)
    before, read_by_mlp = ("input", inputs) if parallel else ("attended", attended)

    def same(source: str, target: str, weights: Array, ins: Any, outs: Any) -> None:
        got = between(found, used, block, source, target)
        np.testing.assert_array_equal(got, weights[np.ix_(outs, ins)].T)

    same("mixed", middle, expected["dense"], mixed, stream)
    same("hidden", "output", expected["down"], hidden, output)
    if "gate" in expected:
        same(before, "gate", expected["gate"], read_by_mlp, hidden)
        same(before, "up", expected["up"], read_by_mlp, hidden)
        for gated in ("gate", "up"):
            edges = between(found, used, block, gated, "hidden")
            np.testing.assert_array_equal(edges, np.eye(len(hidden)))
    else:
        same(before, "hidden", expected["up"], read_by_mlp, hidden)
    if FUSED in used.layers:
        fused = between(found, used, block, "input", FUSED)
        parts = np.concatenate(
            [expected[one][mixed][:, inputs] for one in ("query", "key", "value")]
        )
        np.testing.assert_array_equal(fused, parts.T)
        values, edges = fused, between(found, used, block, FUSED, "mixed")
    else:
        same("input", "query", expected["query"], inputs, mixed)
        key = between(found, used, block, "input", "key")
        all_keys = {tuple(row) for row in expected["key"][mixed][:, inputs]}
        assert {tuple(row) for row in key.T} == all_keys
        assert key.shape[1] == len(all_keys)  # each once, however many heads share it
        values = between(found, used, block, "input", "value")
        edges = between(found, used, block, "value", "mixed")
    # Every mixture is of its own head's value, and of nothing else.
    np.testing.assert_array_equal(values @ edges, expected["value"][mixed][:, inputs].T)
    assert found.sizes[-1] == SIZE
    assert sum(link.invented for link in found.links) == LAYERS * (3 if "gate" in expected else 1)


def test_a_sequential_gpt_neox_has_its_mlp_behind_attention(tmp_path: Path) -> None:
    folder = save_tiny("gpt_neox", tmp_path, use_parallel_residual=False)
    found, used, drawn = read(folder)
    expected = by_hand("gpt_neox", load_file(folder / "model.safetensors"), 1)
    up = expected["up"][np.ix_(drawn[7], drawn[6])].T
    np.testing.assert_array_equal(between(found, used, 1, "attended", "hidden"), up)


def test_the_published_layout_is_that_of_the_published_code(tmp_path: Path) -> None:
    folder = save_tiny("gpt_neox", tmp_path)
    found, used, drawn = read(folder, published=True)
    assert found.sizes == (SIZE, 3 * SIZE, SIZE, SIZE, 2 * SIZE) * LAYERS + (SIZE,)
    saved = load_file(folder / "model.safetensors")
    for block in range(LAYERS):
        name = f"gpt_neox.layers.{block}."
        inputs, value, output, hidden, following = drawn[4 * block : 4 * block + 5]
        thirds = np.concatenate([value, value + WIDTH, value + 2 * WIDTH])
        for ends, weight, ins, outs in (
            (("input", FUSED), "attention.query_key_value", inputs, thirds),
            (("mixed", "attended"), "attention.dense", value, output),
            (("attended", "hidden"), "mlp.dense_h_to_4h", output, hidden),
            (("hidden", "output"), "mlp.dense_4h_to_h", hidden, following),
        ):
            expected = saved[f"{name}{weight}.weight"].numpy()[np.ix_(outs, ins)].T
            np.testing.assert_array_equal(between(found, used, block, *ends), expected)
        edges = between(found, used, block, FUSED, "mixed")
        np.testing.assert_array_equal(edges[:SIZE], np.eye(SIZE))
        assert (edges[SIZE:] == 1).all()
    assert len(found.links) == 5 * LAYERS


def test_the_neurons_are_those_of_the_published_stream() -> None:
    config = AutoConfig.for_model(
        "gpt_neox", hidden_size=128, num_hidden_layers=6, num_attention_heads=4,
        intermediate_size=512,
    )  # fmt: skip
    generator, expected = np.random.RandomState(4), []
    for _ in range(6):
        expected += [generator.choice(128, 64, replace=False) for _ in range(3)]
        expected.append(generator.choice(512, 128, replace=False))
    expected.append(generator.choice(128, 64, replace=False))
    for published in (True, False):
        drawn = neurons(layout(config, "tiny", published), 64, 4)
        assert all(np.array_equal(*pair) for pair in zip(drawn, expected, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shards_and_precision_change_nothing_else(dtype: str, tmp_path: Path) -> None:
    folder = save_tiny("qwen2", tmp_path / "whole", dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    whole, shards = (read(tmp_path / name)[0] for name in ("whole", "shards"))
    for one, other in zip(whole.links, shards.links, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    saved = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    drawn = read(folder)[2]
    expected = saved.float().numpy()[np.ix_(drawn[3], drawn[2])].T
    np.testing.assert_array_equal(whole.links[5].weights, expected)


def test_an_architecture_without_maps_is_told_how_to_give_matrices() -> None:
    with pytest.raises(UserError) as error:
        layout(AutoConfig.for_model("bert"), "mine")
    assert str(error.value) == (
        "model=mine: there are no maps of weights for bert, only for gemma, gemma2, gemma3_text, "
        "gpt2, gpt_neox, llama, mistral, olmo2, opt, qwen2, qwen3; give its matrices to "
        "experiments.multifractal.matrices.analyse, in the order of computation"
    )


def test_weights_of_another_shape_or_kind_are_refused(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path)
    used = layout(AutoConfig.from_pretrained(folder, intermediate_size=44), "tiny")
    weights = open_weights(ModelConfig(path=str(folder)), InitConfig())
    with pytest.raises(UserError, match=r"mlp.gate_proj.weight has shape \(40, 16\), and config"):
        network(weights, used, neurons(used, SIZE, SEED))

    class Quantised:
        def find(self, name: str) -> torch.Tensor:
            return torch.zeros(16, 16, dtype=torch.int8)

    with pytest.raises(UserError, match=r"q_proj\.weight is stored as int8, whose values are no"):
        network(Quantised(), used, neurons(used, SIZE, SEED))  # type: ignore[arg-type]
