"""Quantised checkpoints load in the precision they have, or one line says what is wanted."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from probe.config import DType, InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models import load_trunk, open_weights, weights_bytes
from probe.models.quantised import hold_to_dtype, method
from tests.tiny_models import save_tiny

CPU = torch.device("cpu")
PRETRAINED = InitConfig()


def declare(folder: Path, **settings: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = settings
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_fp8(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Save a model in blocks of 16 × 16 eight-bit floats; return what its weights are by hand."""
    save_tiny("llama", folder, hidden_size=32, intermediate_size=64)
    stored, right = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if "proj" not in name:
            stored[name] = right[name] = weight
            continue
        rows, columns = weight.shape
        blocks = weight.reshape(rows // 16, 16, columns // 16, 16)
        scale = blocks.abs().amax((1, 3)) / 448
        eight = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        right[name] = (eight.float() * scale[:, None, :, None]).reshape(rows, columns)
        stored |= {name: eight.reshape(rows, columns), f"{name}_scale_inv": scale}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    size = {"weight_block_size": [16, 16], "activation_scheme": "dynamic"}
    return declare(folder, quant_method="fp8", **size), right


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU reads them as they are")
@pytest.mark.parametrize("dtype", list(DType))
def test_eight_bit_floats_are_dequantised_on_a_cpu(tmp_path: Path, dtype: DType) -> None:
    folder, right = save_fp8(tmp_path)
    model = ModelConfig(path=str(folder), dtype=dtype)
    trunk = load_trunk(model, PRETRAINED, CPU)
    for name, weight in trunk.state_dict().items():
        assert weight.dtype is getattr(torch, dtype.value)
        exact = right[f"model.{name}"]
        torch.testing.assert_close(weight.float(), exact, rtol=1e-2, atol=1e-6)
        if dtype is DType.float32:
            torch.testing.assert_close(weight, exact)
    trunk(input_ids=torch.tensor([[3, 4, 5]]))
    assert weights_bytes(model, PRETRAINED) == (folder / "model.safetensors").stat().st_size
    random = InitConfig(InitKind.random)
    assert weights_bytes(model, random) > 2 * weights_bytes(model, PRETRAINED) / 3
    with pytest.raises(UserError, match=r"quantised \(fp8\), and its weights are packed; use the"):
        open_weights(model, PRETRAINED)


@pytest.mark.parametrize("how", ["gptq", "awq", "bitsandbytes", "compressed-tensors", "magic"])
def test_what_cannot_be_read_here_is_refused_in_a_line(tmp_path: Path, how: str) -> None:
    folder = declare(save_tiny("llama", tmp_path / "q"), quant_method=how, bits=4)
    with pytest.raises(UserError, match=r"^model=q: ") as raised:
        load_trunk(ModelConfig(path=str(folder)), PRETRAINED, CPU)
    assert "\n" not in str(raised.value)


def test_another_precision_than_the_checkpoints_is_refused() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].weight = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    hold_to_dtype("m", model, "bnb", torch.float32)
    assert model[0].weight.dtype is torch.int8
    with pytest.raises(
        UserError,
        match=r"\(bnb\), and what is not is in float32; give model\.dtype=float32",
    ):
        hold_to_dtype("m", model, "bnb", torch.bfloat16)


def test_the_method_is_found_in_both_forms_of_a_configuration() -> None:
    class Holder:
        quantization_config: Any = None

    assert method(Holder()) is None
    one = Holder()
    one.quantization_config = {"quant_method": "awq"}
    assert method(one) == "awq"
    one.quantization_config = Holder()
    one.quantization_config.quant_method = "fp8"
    assert method(one) == "fp8"
