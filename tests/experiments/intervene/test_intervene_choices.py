"""Choices, draws, value projections and intervals against their definitions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModel

from experiments.intervene.plan import conditions
from experiments.intervene.selection import choose, counts, draw, draw_alike
from experiments.intervene.settings import SELECTIONS, Intervene
from experiments.intervene.value_projection import value_weights
from experiments.statistics import Resamples, interval, split_by_group
from probe.api import UserError
from tests.tiny_models import WIDTH, save_tiny

HEADS = 4


def norm_of(block: Any) -> Any:
    return block.ln_1 if hasattr(block, "ln_1") else block.input_layernorm


def by_hand(architecture: str, block: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the map from normalised neurons to values, and the norm's weights, as HF's code."""
    eye = torch.eye(WIDTH)
    if architecture == "gpt2":
        return (block.attn.c_attn(eye) - block.attn.c_attn.bias).split(WIDTH, dim=1)[
            2
        ].T, block.ln_1.weight
    if architecture == "gpt_neox":
        fused = block.attention.query_key_value
        heads = (fused(eye) - fused.bias).view(WIDTH, HEADS, 3 * WIDTH // HEADS)
        return heads.chunk(3, dim=-1)[2].flatten(1).T, block.input_layernorm.weight
    projection = block.self_attn.v_proj
    bias = 0 if projection.bias is None else projection.bias
    if architecture == "olmo2":  # its norms come behind
        return (projection(eye) - bias).T, torch.ones(WIDTH)
    norm = block.self_attn_layer_norm if architecture == "opt" else block.input_layernorm
    return (projection(eye) - bias).T, norm.weight + (architecture == "gemma3_text")


@pytest.mark.parametrize(
    "architecture", ["gpt2", "gpt_neox", "llama", "qwen2", "gemma3_text", "olmo2", "opt"]
)
def test_value_weights_are_what_the_values_take(architecture: str, tmp_path: Path) -> None:
    trunk = AutoModel.from_pretrained(save_tiny(architecture, tmp_path)).eval()
    blocks: Any = next(m for m in trunk.modules() if isinstance(m, nn.ModuleList))
    with torch.no_grad():
        weight, norm = by_hand(architecture, blocks[1])
        expected = (weight * norm).abs().sum(dim=0)
        torch.testing.assert_close(value_weights(blocks[1], HEADS), expected, rtol=1e-4, atol=1e-5)


def test_a_block_without_a_value_projection_is_refused() -> None:
    block = nn.ModuleDict({"qkv_proj": nn.Linear(WIDTH, 3 * WIDTH)})
    with pytest.raises(UserError, match="none was found in ModuleDict; leave weighted out"):
        value_weights(block, HEADS)


@given(
    scores=st.lists(st.integers(-9, 9), min_size=1, max_size=30),
    share=st.floats(0.01, 1),
    highest=st.booleans(),
)
def test_the_chosen_are_the_highest_or_the_lowest(
    scores: list[int], share: float, highest: bool
) -> None:
    [count] = counts([share], len(scores))
    tensor = torch.tensor(scores, dtype=torch.float64)
    chosen = choose(tensor, count, "highest" if highest else "lowest")
    assert int(chosen.sum()) == count
    expected = sorted(scores, reverse=highest)[:count]
    assert sorted(tensor[chosen].tolist(), reverse=highest) == expected


def test_a_share_means_one_neuron_at_least() -> None:
    assert counts([0.0001, 0.01, 0.5], 896) == [1, 9, 448]


@given(
    sizes=st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=40),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 99),
)
def test_neurons_of_like_norm_are_as_many_others(
    sizes: list[float], share: float, seed: int
) -> None:
    rms = torch.tensor(sizes)
    count = max(1, int(share * len(sizes)))
    like = choose(rms, count, "highest")
    other = draw_alike(like, rms, np.random.default_rng(seed))
    assert int(other.sum()) == count
    assert not (like & other).any()


def test_neurons_of_like_norm_are_alike() -> None:
    """Among 200 pairs of equal norm, draws come from the neighbours."""
    rms = torch.logspace(-3, 3, 200).repeat_interleave(2)
    like = torch.zeros(400, dtype=torch.bool)
    like[[40, 200, 380]] = True
    for seed in range(20):
        other = draw_alike(like, rms, np.random.default_rng(seed))
        ratio = rms[other].sort().values / rms[like]
        assert ((ratio > 0.9) & (ratio < 1.1)).all()
    assert (
        len({tuple(draw_alike(like, rms, np.random.default_rng(s)).tolist()) for s in range(20)})
        > 5
    )


def test_more_random_neurons_hold_the_fewer() -> None:
    few, many = (draw(50, count, np.random.default_rng(3)) for count in (4, 20))
    assert (int(few.sum()), int(many.sum())) == (4, 20)
    assert (many | few).equal(many)


def test_conditions_are_drawn_where_there_is_something_to_draw() -> None:
    asked = Intervene(
        treatment=["mean", "noise"], order=["highest", "lowest"], fractions=[0.1, 0.5], seeds=3
    )
    found = conditions(asked, 100)
    assert len(set(found)) == len(found)
    scored = len(SELECTIONS) - 2
    orders, shares, draws = 2, 2, 3
    mean = shares * (orders * scored + draws + orders * draws)
    noise = shares * draws * (orders * scored + 1 + orders)
    assert len(found) == mean + noise


@settings(deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), seed=st.integers(0, 9)
)
def test_halves_share_no_group(groups: list[str], seed: int) -> None:
    if len(set(groups)) < 2:
        with pytest.raises(UserError, match="1 document cannot be split into 2 parts"):
            split_by_group(groups, [0.5, 0.5], seed)
        return
    first, second = split_by_group(groups, [0.5, 0.5], seed)
    assert sorted([*first, *second]) == list(range(len(groups)))
    assert len(first) > 0
    assert len(second) > 0
    assert not {groups[i] for i in first} & {groups[i] for i in second}


def test_groups_of_one_are_halved() -> None:
    first, second = split_by_group([str(n) for n in range(10)], [0.5, 0.5], 1)
    assert len(first) == len(second) == 5


def test_resamples_are_whole_groups_drawn_with_replacement() -> None:
    groups = ["b", "a", "b", "c", "a", "d"]
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    members = [[0, 2], [1, 4], [3], [5]]
    drawn = np.random.default_rng(7).integers(4, size=(50, 4))
    expected = [sum(values[i] for g in row for i in members[g]) for row in drawn]
    np.testing.assert_allclose(Resamples(groups, 7, 50).sums(values), expected)


def test_an_interval_covers_the_middle() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
