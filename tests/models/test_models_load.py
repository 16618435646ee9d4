"""A trunk is loaded whole, in the precision asked for, or refused in a line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from probe.config import DType, InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import (
    load_config,
    load_tokenizer,
    load_trunk,
    model_fingerprint,
    template_fingerprint,
)
from tests.tiny_models import ARCHITECTURES, END, LINES, save_tiny, tiny_tokenizer

CPU = torch.device("cpu")
PRETRAINED = InitConfig()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    return ModelConfig(path=str(save_tiny("llama", tmp_path_factory.mktemp("llama"))))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Save a model that the test may break."""
    return save_tiny("llama", tmp_path / "own")


def random(seed: int = 0) -> InitConfig:
    return InitConfig(kind=InitKind.random, seed=seed)


def weights(trunk: nn.Module) -> dict[str, torch.Tensor]:
    return dict(trunk.state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def edit_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pretrained_trunk_has_the_checkpoints_weights_and_no_head(
    architecture: str, tmp_path: Path
) -> None:
    folder = save_tiny(architecture, tmp_path)
    trunk = load_trunk(ModelConfig(path=str(folder)), PRETRAINED, CPU)
    saved = load_file(folder / "model.safetensors")
    first = next(iter(trunk.state_dict()))
    prefix = next(name for name in saved if name.endswith(first)).removesuffix(first)
    assert prefix
    stem = {name.removeprefix(prefix): w for name, w in saved.items() if name.startswith(prefix)}
    # BERT's pooler is no part of a language model's checkpoint, and nothing reads it.
    loaded = {n: w for n, w in weights(trunk).items() if not n.startswith("pooler.")}
    assert same(loaded, stem)
    assert type(trunk).__name__.endswith("Model")
    assert not hasattr(trunk, "lm_head")
    assert trunk.get_output_embeddings() is None  # type: ignore[operator]


@pytest.mark.parametrize("init", [PRETRAINED, random()], ids=["pretrained", "random"])
def test_a_trunk_comes_ready_to_run(llama: ModelConfig, init: InitConfig) -> None:
    trunk = load_trunk(llama, init, CPU)
    assert not any(module.training for module in trunk.modules())
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    assert {parameter.device for parameter in trunk.parameters()} == {CPU}


def test_random_weights_are_the_seeds_alone(llama: ModelConfig) -> None:
    torch.manual_seed(1)
    first = weights(load_trunk(llama, random(3), CPU))
    torch.manual_seed(2)
    assert same(weights(load_trunk(llama, random(3), CPU)), first)
    other = weights(load_trunk(llama, random(4), CPU))
    drawn = [name for name, weight in first.items() if weight.dim() == 2]
    assert len(drawn) > 3
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert {n: w.shape for n, w in other.items()} == {n: w.shape for n, w in first.items()}


def test_random_weights_are_not_those_of_the_checkpoint(llama: ModelConfig) -> None:
    trained = weights(load_trunk(llama, PRETRAINED, CPU))
    drawn = weights(load_trunk(llama, random(), CPU))
    assert drawn.keys() == trained.keys()
    assert not any(torch.equal(drawn[name], trained[name]) for name in trained)


@pytest.mark.parametrize("init", [PRETRAINED, random()], ids=["pretrained", "random"])
def test_loading_draws_nothing_from_the_global_generator(
    llama: ModelConfig, init: InitConfig
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_trunk(llama, init, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_weights_need_no_checkpoint(own: Path) -> None:
    model = ModelConfig(path=str(own))
    expected = weights(load_trunk(model, random(), CPU))
    (own / "model.safetensors").unlink()
    assert same(weights(load_trunk(model, random(), CPU)), expected)
    with pytest.raises(UserError, match="has no weights in safetensors"):
        load_trunk(model, PRETRAINED, CPU)


@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("init", [PRETRAINED, random()], ids=["pretrained", "random"])
def test_float32_is_the_default_whatever_the_checkpoint_holds(
    tmp_path: Path, stored: str, init: InitConfig
) -> None:
    folder = save_tiny("qwen2", tmp_path, dtype=stored)
    saved = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {getattr(torch, stored)}
    trunk = load_trunk(ModelConfig(path=str(folder)), init, CPU)
    assert {parameter.dtype for parameter in trunk.parameters()} == {torch.float32}
    if init is PRETRAINED:
        assert torch.equal(trunk.state_dict()["norm.weight"], saved["model.norm.weight"].float())


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize("init", [PRETRAINED, random()], ids=["pretrained", "random"])
def test_another_precision_is_honoured(llama: ModelConfig, dtype: DType, init: InitConfig) -> None:
    trunk = load_trunk(ModelConfig(path=llama.path, dtype=dtype), init, CPU)
    assert {parameter.dtype for parameter in trunk.parameters()} == {getattr(torch, dtype.value)}


def test_a_checkpoint_that_lacks_a_weight_is_refused_by_that_weights_name(own: Path) -> None:
    file = own / "model.safetensors"
    saved = load_file(file)
    del saved["model.layers.1.mlp.up_proj.weight"]
    save_file(saved, file, metadata={"format": "pt"})
    model = ModelConfig(path=str(own), name="mine")
    with pytest.raises(UserError, match=r"mine: .*lacks 1 weights? .*layers\.1\.mlp\.up_proj"):
        load_trunk(model, PRETRAINED, CPU)


def test_a_checkpoint_of_fewer_layers_is_refused(own: Path) -> None:
    edit_config(own, num_hidden_layers=4)
    with pytest.raises(UserError, match=r"lacks 9 weights .*layers\.3\."):
        load_trunk(ModelConfig(path=str(own)), PRETRAINED, CPU)


def test_a_checkpoint_of_another_size_is_refused_in_a_line(own: Path) -> None:
    edit_config(own, intermediate_size=44)
    with pytest.raises(
        UserError, match=r"=own: .*mlp\.\w+\.weight does not have the shape \(\d+, \d+\) of"
    ):
        load_trunk(ModelConfig(path=str(own)), PRETRAINED, CPU)


@pytest.mark.parametrize("broken", ["pointer", "half"])
def test_a_broken_checkpoint_is_refused_in_a_line(own: Path, broken: str) -> None:
    file = own / "model.safetensors"
    if broken == "pointer":
        # What a clone without git-lfs leaves.
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match="could not be loaded"):
        load_trunk(ModelConfig(path=str(own)), PRETRAINED, CPU)


@pytest.mark.parametrize("config", ["{", '{"model_type": "lama"}'], ids=["no JSON", "unknown type"])
def test_a_config_that_transformers_cannot_read_is_refused_in_a_line(
    own: Path, config: str
) -> None:
    (own / "config.json").write_text(config)
    model = ModelConfig(path=str(own))
    for load in (lambda: load_config(model), lambda: load_trunk(model, PRETRAINED, CPU)):
        with pytest.raises(UserError, match=r"model=own: .*could not be loaded") as raised:
            load()
        assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_refused_with_what_to_check(tmp_path: Path) -> None:
    model = ModelConfig(path=str(tmp_path / "none"))
    for load in (load_config, load_tokenizer, lambda m: load_trunk(m, PRETRAINED, CPU)):
        with pytest.raises(UserError, match=re.escape(str(tmp_path / "none"))) as raised:
            load(model)
        assert "model.path=" in str(raised.value)


def test_a_bundled_model_that_does_not_exist_is_answered_with_the_one_that_does() -> None:
    with pytest.raises(UserError, match=r"bundled/huge .*use bundled/tiny"):
        load_config(ModelConfig(id="bundled/huge"))


def test_the_bundled_model_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(ModelConfig(id="bundled/tiny")).model_type == "qwen2"


def test_a_tokenizer_without_a_padding_token_pads_with_the_end_of_sequence(
    llama: ModelConfig,
) -> None:
    assert tiny_tokenizer().pad_token is None
    tokenizer = load_tokenizer(llama)
    assert tokenizer.pad_token == tokenizer.eos_token == END
    assert tokenizer(LINES).input_ids == tiny_tokenizer()(LINES).input_ids


def test_a_padding_token_of_the_tokenizers_own_is_kept(own: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "A"
    tokenizer.save_pretrained(own)
    assert load_tokenizer(ModelConfig(path=str(own))).pad_token == "A"


def test_a_tokenizer_without_any_special_token_still_loads(own: Path) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer().backend_tokenizer)
    bare.save_pretrained(own)
    assert load_tokenizer(ModelConfig(path=str(own)))(LINES[0]).input_ids


def fingerprint(folder: Path, init: InitConfig = PRETRAINED) -> str:
    return model_fingerprint(ModelConfig(path=str(folder)), init)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_fingerprint_changes_with_a_local_file(own: Path, file: str) -> None:
    before = fingerprint(own)
    assert fingerprint(own) == before
    content = (own / file).read_bytes()
    changed = content[:-1] + bytes([content[-1] ^ 1])
    (own / file).write_bytes(changed)
    assert fingerprint(own) != before
    (own / file).write_bytes(content)
    assert fingerprint(own) == before


def test_the_fingerprint_does_not_depend_on_where_the_folder_is(own: Path, tmp_path: Path) -> None:
    again = save_tiny("llama", tmp_path / "again")
    assert fingerprint(again) == fingerprint(own)
    other = save_tiny("llama", tmp_path / "other", seed=1)
    assert fingerprint(other) != fingerprint(own)


def test_the_fingerprint_of_random_weights_ignores_the_checkpoint(own: Path) -> None:
    before = fingerprint(own, random())
    (own / "model.safetensors").unlink()
    assert fingerprint(own, random()) == before
    edit_config(own, hidden_size=32)
    assert fingerprint(own, random()) != before


def test_weights_that_are_not_used_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_tiny("llama", tmp_path)
    load_trunk(ModelConfig(path=str(folder)), InitConfig(), torch.device("cpu"))
    assert not caplog.messages  # the head is not read, and not missed
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    load_trunk(ModelConfig(path=str(folder)), InitConfig(), torch.device("cpu"))
    [line] = caplog.messages
    assert "the checkpoint has 18 weights that the model of its config.json does not use" in line
    assert "(the first is model.layers.1." in line


def test_a_chat_template_of_its_own_is_fingerprinted_where_it_is_read(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path)
    plain, chat = (ModelConfig(path=str(folder), chat=chat) for chat in (False, True))
    before = model_fingerprint(chat, InitConfig())
    assert template_fingerprint(chat) is None
    hashes = set()
    for template in ("{{ messages }}", "{{ messages[0] }}"):
        (folder / "chat_template.jinja").write_text(template)
        hashes.add(template_fingerprint(chat))
    assert len(hashes - {None}) == 2
    assert template_fingerprint(plain) is None
    assert model_fingerprint(chat, InitConfig()) == before  # runs of before are found
