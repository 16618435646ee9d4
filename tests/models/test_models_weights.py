"""Single weights of a checkpoint are those of its files, or of the trunk with random weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import load_trunk, open_weights
from tests.tiny_models import save_tiny

NAME = "layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("llama"))


def opened(folder: Path, **more: bool) -> torch.Tensor:
    return open_weights(ModelConfig(path=str(folder), **more), InitConfig()).find(NAME)


def saved(folder: Path) -> torch.Tensor:
    return load_file(folder / "model.safetensors")[f"model.{NAME}"]


def test_a_weight_is_found_by_its_name_in_the_trunk(llama: Path) -> None:
    assert torch.equal(opened(llama), saved(llama))


def test_shards_are_read_as_one_checkpoint(llama: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert torch.equal(opened(tmp_path), saved(llama))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_files_do_not_stay_in_memory(llama: Path) -> None:
    weights = open_weights(ModelConfig(path=str(llama)), InitConfig())
    held = weights.find(NAME)
    assert held.numel()
    del held
    assert str(llama) not in Path("/proc/self/maps").read_text()


def test_weights_keep_the_precision_of_their_file(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path, dtype="bfloat16")
    assert opened(folder).dtype == torch.bfloat16


def test_random_weights_are_those_of_the_trunk(llama: Path) -> None:
    model, init = ModelConfig(path=str(llama)), InitConfig(kind=InitKind.random, seed=3)
    trunk = load_trunk(model, init, torch.device("cpu"))
    assert torch.equal(open_weights(model, init).find(NAME), trunk.state_dict()[NAME])


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_are_read_only_if_asked_for(
    zipped: bool, llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((llama / "config.json").read_bytes())
    torch.save(
        load_file(llama / "model.safetensors"), tmp_path / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"has no weights in safetensors; convert them .*pickle"):
        opened(tmp_path)
    assert torch.equal(opened(tmp_path, pickle=True), saved(llama))


def test_what_a_checkpoint_lacks_is_named(llama: Path) -> None:
    weights = open_weights(ModelConfig(path=str(llama), name="mine"), InitConfig())
    with pytest.raises(UserError, match=r"model=mine: the checkpoint lacks layers\.9\.up; use a"):
        weights.find("layers.9.up")
    with pytest.raises(UserError, match=r"several weights model\.layers\.0\.mlp\.up_proj\.weight,"):
        weights.find("up_proj.weight")


def test_a_missing_shard_is_told_in_a_line(llama: Path, tmp_path: Path) -> None:
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(tmp_path, max_shard_size="8KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shard = index["weight_map"][f"model.{NAME}"]
    (tmp_path / shard).unlink()
    with pytest.raises(UserError, match="could not be loaded") as error:
        opened(tmp_path)
    assert shard in str(error.value)
    assert "\n" not in str(error.value)
