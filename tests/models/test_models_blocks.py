"""Blocks are found in every architecture, or asked for by key."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import find_blocks, load_trunk, text_config
from tests.tiny_models import ARCHITECTURES, BLOCKS, save_tiny

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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layers", [1, 3])
def test_the_blocks_of_every_architecture_are_found(
    architecture: str, layers: int, tmp_path: Path
) -> None:
    trunk = trunk_of(architecture, tmp_path, num_hidden_layers=layers)
    blocks = find_blocks(trunk, GIVEN)
    assert blocks is trunk.get_submodule(BLOCKS[architecture])
    assert len(blocks) == layers == text_config(trunk).num_hidden_layers


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
