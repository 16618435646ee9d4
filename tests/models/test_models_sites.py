"""Where a site's neurons are is found in every architecture, or asked for by key."""

from pathlib import Path

import pytest
import torch
from torch import nn

from probe.config import InitConfig, InitKind, ModelConfig, Site
from probe.errors import UserError
from probe.models import HookPoint, find_blocks, find_hook_point, load_trunk
from tests.tiny_models import ARCHITECTURES, ATTENTION, MLP, MLP_OUTPUT, save_tiny

GIVEN = ModelConfig(path="given")
IN_OUT = "mixer, expand, expand.out"


class OddBlock(nn.Module):
    """A block whose parts have names that nobody else uses."""

    def __init__(self) -> None:
        super().__init__()
        self.mixer = nn.Linear(2, 2)
        self.expand = nn.ModuleDict({"out": nn.Linear(4, 2)})


def blocks_of(architecture: str, folder: Path) -> nn.ModuleList:
    model = ModelConfig(path=str(save_tiny(architecture, folder)))
    trunk = load_trunk(model, InitConfig(kind=InitKind.random), torch.device("cpu"))
    return find_blocks(trunk, model)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_sites_of_every_architecture_are_found(architecture: str, tmp_path: Path) -> None:
    for block in blocks_of(architecture, tmp_path):
        expected = {
            Site.residual: HookPoint(block, before=False),
            Site.residual_raw: HookPoint(block, before=False),
            Site.embedding: HookPoint(block, before=True),
            Site.mlp: HookPoint(block.get_submodule(MLP_OUTPUT[architecture]), before=True),
            Site.mlp_output: HookPoint(block.get_submodule(MLP[architecture]), before=False),
            Site.attention: HookPoint(block.get_submodule(ATTENTION[architecture]), before=False),
        }
        assert {site: find_hook_point(block, GIVEN, site) for site in Site} == expected


@pytest.mark.parametrize(
    ("site", "key"),
    [(Site.mlp, "mlp_output"), (Site.mlp_output, "mlp"), (Site.attention, "attention")],
)
def test_a_part_that_is_not_found_is_asked_for_by_its_key(site: Site, key: str) -> None:
    with pytest.raises(UserError) as raised:
        find_hook_point(OddBlock(), GIVEN, site)
    assert str(raised.value) == (
        f"site={site} finds no such part in OddBlock; give model.{key}=, one of {IN_OUT}"
    )


def test_a_part_that_is_given_is_taken() -> None:
    block = OddBlock()
    given = ModelConfig(path="given", mlp="expand", mlp_output="expand.out", attention="mixer")
    assert find_hook_point(block, given, Site.mlp).module is block.get_submodule("expand.out")
    assert find_hook_point(block, given, Site.mlp_output).module is block.expand
    assert find_hook_point(block, given, Site.attention).module is block.mixer


@pytest.mark.parametrize(
    ("site", "key", "wrong", "right"),
    [
        (Site.mlp, "mlp_output", "mlp.down", "mlp.down_proj"),
        (Site.mlp_output, "mlp", "feed", "mlp"),
        (Site.attention, "attention", "attn", "self_attn"),
    ],
)
def test_a_part_that_is_given_wrongly_is_not_replaced_by_the_usual_one(
    site: Site, key: str, wrong: str, right: str, tmp_path: Path
) -> None:
    block = blocks_of("llama", tmp_path)[0]
    model = ModelConfig(path="given", **{key: wrong})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"model\.{key}={wrong} finds no such part") as raised:
        find_hook_point(block, model, site)
    assert right in str(raised.value).split("one of ")[1].split(", ")
