"""The published procedure of the benchmark finds what is planted, for the passes it is told of."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import neuron_graphs
from benchmarks.neuron_graphs import Made
from benchmarks.published_graphs import Published
from experiments.neuron_graphs.fit import Rules
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.unit import Unit
from probe.api import Site, compose

THE, CAT, N_TOKENS = 1, 5, 40


class Trunk(nn.Module):
    """A trunk with one block, whose neuron 1 fires on "the cat"."""

    def __init__(self) -> None:
        super().__init__()
        self.h = nn.ModuleList([nn.Module()])
        self.h[0].mlp = nn.Module()
        self.h[0].mlp.c_proj = nn.Linear(3, 2)
        self.config: Any = type("Text", (), {"num_hidden_layers": 1})()
        self.config.get_text_config = lambda: self.config

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        fires = torch.zeros(*ids.shape, 3)
        fires[:, 1:, 1] = ((ids[:, 1:] == CAT) & (ids[:, :-1] == THE)).float()
        out: torch.Tensor = self.h[0].mlp.c_proj(fires)
        return out


class Language(nn.Module):
    """A language model that expects every token alike."""

    def __init__(self) -> None:
        super().__init__()
        self.base_model = Trunk()

    def forward(self, input_ids: torch.Tensor, **_: object) -> Any:
        self.base_model(input_ids)
        logits = torch.arange(N_TOKENS).float().expand(*input_ids.shape, N_TOKENS)
        return type("Output", (), {"logits": logits})()


def test_the_published_procedure_finds_what_is_planted() -> None:
    config = replace(compose("model=tiny"), site=Site.mlp)
    rules = Rules(PRESETS["paper_code"], 0, np.arange(N_TOKENS, dtype=np.int32))
    way = Published(Language(), config, rules, (), torch.ones(N_TOKENS, dtype=torch.bool))
    rng = np.random.default_rng(0)
    train = [(*rng.integers(6, 40, 20).tolist(), THE, CAT, 9, 9, 9, 9) for _ in range(3)]
    test = [tuple(rng.integers(1, 40, 20).tolist()) for _ in range(2)]
    graph = way.graph(Unit(0, 1), 1.0, train, test)
    assert graph.ends == {(CAT, THE): 1.0}
    # A text: whole, contexts, saliency, again, substitutes, and a pass for each of 5 of 2 words.
    assert way.calls == 3 * (1 + 1 + 1 + 1 + 1 + 10) + 2


def test_costs_are_of_products_and_of_launches() -> None:
    many = Made(1.0, units=10, passes=5, rows=1, tokens=20_000, f1=0.5)
    weights, layers, width = neuron_graphs.QWEN
    scan, graphs = neuron_graphs.foretold(many)
    assert scan == pytest.approx(
        2 * weights * 2e6 / neuron_graphs.GPU + 2e6 / 4096 * layers * neuron_graphs.LAUNCH
    )
    neurons = layers * width
    whole = 2 * weights * neurons * 2000 / neuron_graphs.GPU + neurons / 2 * layers * 1e-4
    assert graphs == pytest.approx(whole * 25 / 48)


@pytest.mark.campaign
def test_both_ways_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron_graphs, "MANY", 3)
    options = argparse.Namespace(weights=None, neurons=2, device="cpu")
    found = neuron_graphs.measure(options, tmp_path)
    assert [row[:2] for row in found.rows] == [
        ["published", "2"], ["ours, consistent", "2"], ["ours, paper_code", "2"],
        ["ours, 3 neurons", "3"],
    ]  # fmt: skip
    published, ours = found.raw["published"], found.raw["ours, paper_code"]
    assert published["passes"] > ours["passes"]
    assert published["tokens"] > ours["tokens"]
    assert found.raw["ours, 3 neurons"]["memory"][0] > 50e6
    assert "passes for 3 neurons" in found.notes[0]
