"""Blocks and the places to read in them are found in every architecture, or asked for by key."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import find_attention, find_blocks, find_mlp_output, load_trunk, text_config
from tests.tiny_models import ARCHITECTURES, ATTENTION, BLOCKS, MLP_OUTPUT, save_tiny

GIVEN = ModelConfig(path="given")


def trunk_of(architecture: str, folder: Path, **config: Any) -> nn.Module:
    model = ModelConfig(path=str(save_tiny(architecture, folder, **config)))
    return load_trunk(model, InitConfig(kind=InitKind.random), torch.device("cpu"))


class Odd(nn.Module):
    """Two layers of its own making, with lists wherever a test wants them."""

    def __init__(self, **lists: int) -> None:
        super().__init__()
        self.config = LlamaConfig(num_hidden_layers=2)
        for path, length in lists.items():
            parent: nn.Module = self
            *folders, name = path.split("__")
            for folder in folders:
                if not hasattr(parent, folder):
                    parent.add_module(folder, nn.Module())
                parent = parent.get_submodule(folder)
            parent.add_module(name, nn.ModuleList(nn.Linear(2, 2) for _ in range(length)))


class OddBlock(nn.Module):
    """A block whose parts have names that nobody else uses."""

    def __init__(self) -> None:
        super().__init__()
        self.mixer = nn.Linear(2, 2)
        self.expand = nn.ModuleDict({"out": nn.Linear(4, 2)})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layers", [1, 3])
def test_the_blocks_of_every_architecture_are_found(
    architecture: str, layers: int, tmp_path: Path
) -> None:
    trunk = trunk_of(architecture, tmp_path, num_hidden_layers=layers)
    blocks = find_blocks(trunk, GIVEN)
    assert blocks is trunk.get_submodule(BLOCKS[architecture])
    assert len(blocks) == layers == text_config(trunk).num_hidden_layers


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_places_of_every_architecture_are_found(architecture: str, tmp_path: Path) -> None:
    for block in find_blocks(trunk_of(architecture, tmp_path), GIVEN):
        assert find_mlp_output(block, GIVEN) is block.get_submodule(MLP_OUTPUT[architecture])
        assert find_attention(block, GIVEN) is block.get_submodule(ATTENTION[architecture])


def test_lists_of_another_length_or_further_in_are_passed_over() -> None:
    trunk = Odd(core__blocks=2, core__heads=3, core__tail=1, core__inner__experts=2)
    assert find_blocks(trunk, GIVEN) is trunk.get_submodule("core.blocks")


def test_several_lists_that_fit_are_named_with_the_key_that_chooses() -> None:
    trunk = Odd(blocks=2, experts=2, heads=3)
    with pytest.raises(UserError) as raised:
        find_blocks(trunk, GIVEN)
    message = str(raised.value)
    assert "Odd has several lists of 2 blocks" in message
    assert "model.blocks=" in message
    assert message.endswith("one of blocks, experts")


def test_where_no_list_fits_those_there_are_are_named() -> None:
    with pytest.raises(UserError) as raised:
        find_blocks(Odd(core__heads=3, tails=4), GIVEN)
    message = str(raised.value)
    assert "Odd has no list of 2 blocks" in message
    assert "model.blocks=" in message
    assert "core.heads" in message
    assert "tails" in message


def test_a_model_without_any_list_is_said_to_have_none() -> None:
    with pytest.raises(UserError, match=r"no list of 2 blocks; .*one of none"):
        find_blocks(Odd(), GIVEN)


@pytest.mark.parametrize("path", ["experts", "core.inner"])
def test_model_blocks_says_which_list(path: str) -> None:
    trunk = Odd(blocks=2, experts=2, core__inner=5)
    blocks = find_blocks(trunk, ModelConfig(path="given", blocks=path))
    assert blocks is trunk.get_submodule(path)


@pytest.mark.parametrize("path", ["nowhere", "core", "blocks.0"])
def test_model_blocks_that_is_no_list_is_refused(path: str) -> None:
    trunk = Odd(blocks=2, core__inner=5)
    with pytest.raises(UserError, match=rf"model\.blocks={path} is not a list of blocks") as raised:
        find_blocks(trunk, ModelConfig(path="given", blocks=path))
    assert "blocks, core.inner" in str(raised.value)


def test_a_place_that_is_not_found_is_asked_for_by_its_key() -> None:
    with pytest.raises(UserError, match=r"site=mlp finds no such part in OddBlock") as raised:
        find_mlp_output(OddBlock(), GIVEN)
    assert "model.mlp_output=, one of mixer, expand, expand.out" in str(raised.value)
    with pytest.raises(UserError, match=r"site=attention finds no such part in OddBlock") as raised:
        find_attention(OddBlock(), GIVEN)
    assert "model.attention=, one of mixer, expand, expand.out" in str(raised.value)


def test_a_place_that_is_given_is_taken() -> None:
    block = OddBlock()
    given = ModelConfig(path="given", mlp_output="expand.out", attention="mixer")
    assert find_mlp_output(block, given) is block.get_submodule("expand.out")
    assert find_attention(block, given) is block.mixer


def test_a_place_that_is_given_wrongly_is_not_replaced_by_the_usual_one(tmp_path: Path) -> None:
    block = find_blocks(trunk_of("llama", tmp_path), GIVEN)[0]
    wrong = ModelConfig(path="given", mlp_output="mlp.down", attention="attn")
    with pytest.raises(UserError, match=r"model\.mlp_output=mlp\.down .*mlp\.down_proj"):
        find_mlp_output(block, wrong)
    with pytest.raises(UserError, match=r"model\.attention=attn .*self_attn"):
        find_attention(block, wrong)
