"""Adapters are merged into the weights, W + scale · B A, or refused in a line."""

import builtins
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import (
    Weights,
    load_language_model,
    load_tokenizer,
    load_trunk,
    model_fingerprint,
    open_unembedding,
    open_weights,
)
from tests.tiny_models import LINES, save_tiny

CPU = torch.device("cpu")
PRETRAINED = InitConfig()
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])
Q = "model.layers.1.self_attn.q_proj"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny("llama", tmp_path / "base")


def save_adapter(folder: Path, base: Path, weights: dict[str, torch.Tensor], **more: Any) -> Path:
    """Write an adapter's files by hand."""
    folder.mkdir(exist_ok=True)
    settings = {
        "peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"],
        "base_model_name_or_path": str(base), "task_type": "CAUSAL_LM",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings | more))
    named = {f"base_model.model.{name}": value for name, value in weights.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return folder


def pair(name: str = Q) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        f"{name}.lora_A.weight": torch.randn(2, 16), f"{name}.lora_B.weight": torch.randn(16, 2)
    }  # fmt: skip


def model(folder: Path) -> ModelConfig:
    return ModelConfig(path=str(folder))


def by_hand(base: Path, folder: Path) -> Path:
    """Save the base with W + (alpha / r) B A in the place of W."""
    weights = load_file(base / "model.safetensors")
    a, b = pair().values()
    weights[f"{Q}.weight"] += 6 / 2 * b @ a
    merged = save_tiny("llama", folder)
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    return merged


@pytest.mark.parametrize("beside", [True, False], ids=["beside the weights", "alone"])
def test_an_adapter_is_merged_and_adds_no_module(
    base: Path, tmp_path: Path, beside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    expected = load_trunk(model(by_hand(base, tmp_path / "merged")), PRETRAINED, CPU)
    plain = model_fingerprint(model(base), PRETRAINED)
    folder = save_adapter(base if beside else tmp_path / "adapter", base, pair())
    caplog.set_level("INFO")
    trunk = load_trunk(model(folder), PRETRAINED, CPU)
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(trunk.state_dict()[name], weight)
    assert [n for n, _ in trunk.named_modules()] == [n for n, _ in expected.named_modules()]
    assert not any(weight.requires_grad for weight in trunk.parameters())
    whole = load_language_model(model(folder), CPU)
    torch.testing.assert_close(
        whole.base_model(input_ids=IDS).last_hidden_state,  # type: ignore[operator]
        expected(input_ids=IDS).last_hidden_state,
    )
    assert load_tokenizer(model(folder))(LINES).input_ids
    told = [line for line in caplog.messages if "adapter" in line]
    assert "has no weights for 2 modules that it names" in told[0]
    assert f"the LORA adapter of {folder} is merged into the weights" in told[1]
    found = model_fingerprint(model(folder), PRETRAINED)
    assert ", LORA adapter sha256 " in found
    assert found != plain
    file = folder / "adapter_model.safetensors"
    save_file({name: value * 2 for name, value in load_file(file).items()}, file)
    assert model_fingerprint(model(folder), PRETRAINED) != found
    random = InitConfig(InitKind.random)
    if not beside:
        assert model_fingerprint(model(folder), random) == model_fingerprint(model(base), random)


def test_single_weights_are_those_of_the_merged_model(base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", base, pair())
    weights: Weights = open_weights(model(folder), PRETRAINED)
    with pytest.raises(UserError, match="is an adapter, whose weights would have to be loaded"):
        open_unembedding(model(folder))
    right = load_file(by_hand(base, tmp_path / "merged") / "model.safetensors")[f"{Q}.weight"]
    torch.testing.assert_close(weights.find(f"{Q.removeprefix('model.')}.weight"), right)


KINDS = {
    "all": ("CAUSAL_LM", {"target_modules": "all-linear", "modules_to_save": ["lm_head"]}),
    "embeddings": ("CAUSAL_LM", {"target_modules": ["embed_tokens", "lm_head"]}),
    "dora": ("CAUSAL_LM", {"target_modules": ["q_proj"], "use_dora": True}),
    "classifier": ("SEQ_CLS", {"target_modules": ["up_proj"]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_peft_has_saved_reads_as_it_does_in_peft(
    base: Path, tmp_path: Path, kind: str
) -> None:
    task, settings = KINDS[kind]
    auto = AutoModelForSequenceClassification if task == "SEQ_CLS" else AutoModelForCausalLM
    own = auto.from_pretrained(base, dtype=torch.float32)
    tuned = peft.get_peft_model(own, peft.LoraConfig(task_type=task, r=2, **settings)).eval()
    torch.manual_seed(2)
    for name, weight in tuned.named_parameters():
        if "lora" in name or "modules_to_save" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(tmp_path / kind)
    with torch.no_grad():
        right = tuned(input_ids=IDS, output_hidden_states=True).hidden_states[-1]
    for loaded in (
        load_trunk(model(tmp_path / kind), PRETRAINED, CPU),
        load_language_model(model(tmp_path / kind), CPU).base_model,
    ):
        found = loaded(input_ids=IDS).last_hidden_state  # type: ignore[operator]
        torch.testing.assert_close(found, right, rtol=0, atol=1e-5)
    unchanged = load_trunk(model(base), PRETRAINED, CPU)(input_ids=IDS).last_hidden_state
    assert float((unchanged - right).abs().max()) > 1e-2


def test_an_adapter_without_peft_says_how_to_install_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_adapter(tmp_path / "adapter", base, pair())
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "peft":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UserError,
        match=r"=adapter: .* has an adapter \(LORA\) for .*, and peft is not installed; "
        r"pip install -c constraints\.txt '\.\[adapters\]'",
    ):
        load_trunk(model(folder), PRETRAINED, CPU)


BROKEN: dict[str, tuple[dict[str, torch.Tensor], dict[str, Any], str]] = {
    "another layer": (pair("model.layers.7.self_attn.q_proj"), {}, r"layers\.7\.\S+ is in only"),
    "half": (dict([*pair().items()][:1]), {}, r"layers\.1\.self_attn\.q_proj is in only one"),
    "another width": (pair(), {"r": 4}, r"cannot be merged into .*size mismatch|Error"),
    "no such module": (pair(), {"target_modules": ["nothing"]}, "Target modules .* not found"),
    "a word": (pair(), {"peft_type": "MAGIC"}, "cannot be merged into .*MAGIC"),
    "a prompt": (
        {}, {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2}, "puts tokens before every text"
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_an_adapter_that_does_not_fit_is_refused(base: Path, tmp_path: Path, broken: str) -> None:
    weights, settings, told = BROKEN[broken]
    if broken == "a prompt":
        settings = settings | {"target_modules": None}
    folder = save_adapter(tmp_path / "adapter", base, weights, **settings)
    with pytest.raises(UserError, match=told) as raised:
        load_trunk(model(folder), PRETRAINED, CPU)
    assert "\n" not in str(raised.value)


def test_an_adapter_without_weights_or_base_is_refused(base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", base, pair())
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"without adapter_model\.safetensors; save it with peft"):
        load_trunk(model(folder), PRETRAINED, CPU)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="does not name a peft_type and a base_model_name_or_path"):
        load_trunk(model(folder), PRETRAINED, CPU)
