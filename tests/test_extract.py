"""The whole way from text to matrix against the definition, on activations captured otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from probe import api
from tests import reference
from tests.tiny_models import ATTENTION, MLP_OUTPUT, save_tiny

TEXTS = [f"The {'long ' * n}river carried {n} boats of sand to the sea." for n in range(7)]
Captured = dict[str, list[list[np.ndarray]]]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Take a model with rotary or absolute positions, and seven texts in small batches."""
    folder = tmp_path_factory.mktemp(request.param)
    model = save_tiny(request.param, folder / request.param)
    text = folder / "texts.jsonl"
    text.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    data = ["data=text", f"data.path={text}", "runtime.token_budget=150", "data.min_tokens=4"]
    return ["model=local", f"model.path={model}", *data]


@pytest.fixture(scope="module")
def captured(words: list[str]) -> Captured:
    """Every site of every layer, one text at a time, by a plain forward pass."""
    path = Path(words[1].partition("=")[2])
    model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    blocks = model.layers if path.name == "llama" else model.h
    found: Captured = {site: [[] for _ in blocks] for site in ("residual", "mlp", "attention")}

    def keep(site: str, layer: int, value: Any) -> None:
        value = value[0] if isinstance(value, tuple) else value
        found[site][layer].append(value.reshape(-1, value.shape[-1]).numpy().copy())

    for layer, block in enumerate(blocks):
        block.get_submodule(MLP_OUTPUT[path.name]).register_forward_pre_hook(
            lambda _, value, layer=layer: keep("mlp", layer, value)
        )
        block.get_submodule(ATTENTION[path.name]).register_forward_hook(
            lambda _, __, value, layer=layer: keep("attention", layer, value)
        )
    for text in TEXTS:
        with torch.no_grad():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            states = model(ids, output_hidden_states=True).hidden_states
        for layer, state in enumerate(states[1:]):
            keep("residual", layer, state)
    return found


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("scheme", ["mean", "fisher", "pooled"])
@pytest.mark.parametrize("site", ["residual", "mlp", "attention"])
def test_a_topology_is_its_definition(
    words: list[str], captured: Captured, site: str, scheme: str, side: str
) -> None:
    layers = captured[site]
    how = [f"site={site}", f"average={scheme}", f"model.padding_side={side}"]
    for topology in api.extract(*words, *how, "layers=each"):
        expected = reference.topology([layers[topology.layers[0]]], scheme)
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
    if site != "mlp":
        [mean] = api.extract(*words, *how, "layers=all")
        np.testing.assert_allclose(mean.matrix, reference.topology(layers, scheme), atol=1e-6)


def test_parts_one_example_and_left_out_tokens_are_their_definitions(
    words: list[str], captured: Captured
) -> None:
    series = captured["residual"][1]
    parts = np.array_split(np.arange(len(TEXTS)), 3)
    for topology, members in zip(
        api.extract(*words, "layers=1", "average=partitioned"), parts, strict=True
    ):
        expected = reference.topology([[series[b] for b in members]], "mean")
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6)
        assert topology.examples == len(members)
    [one] = api.extract(*words, "layers=1", "average=single", "average.example=4")
    np.testing.assert_allclose(one.matrix, reference.topology([[series[4]]], "mean"), atol=1e-6)
    [later] = api.extract(*words, "layers=1", "data.skip_first=2")
    expected = reference.topology([[x[2:] for x in series]], "mean")
    np.testing.assert_allclose(later.matrix, expected, atol=1e-6)
