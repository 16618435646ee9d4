"""GGUF files are dequantised to what their numbers say, and read by their own tokenizer."""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from probe.config import DType, InitConfig, ModelConfig
from probe.errors import UserError
from probe.models import (
    keep_trunk,
    load_config,
    load_language_model,
    load_tokenizer,
    load_trunk,
    model_fingerprint,
    open_unembedding,
    open_weights,
    recall_trunk,
)
from probe.system.kept import keeping
from tests.tiny_models import END, LINES, save_tiny

CPU = torch.device("cpu")
PRETRAINED = InitConfig()
SIZE = {"hidden_size": 32, "intermediate_size": 64}
Q8 = gguf.GGMLQuantizationType.Q8_0
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def quantised(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round as Q8_0 does: in rows' blocks of 32, to 127ths of the largest."""
    blocks = x.reshape(-1, 32)
    scale = abs(blocks).max(axis=1, keepdims=True) / 127
    rounded = np.trunc(blocks / scale + np.copysign(0.5, blocks))
    near: NDArray[np.float32] = (rounded * scale.astype(np.float16)).astype(np.float32)
    return near.reshape(x.shape)


def save_gguf(base: Path, file: Path) -> dict[str, torch.Tensor]:
    """Write a Llama as llama.cpp does; return what its weights are after that."""
    file.parent.mkdir(exist_ok=True)
    words = json.loads((base / "tokenizer.json").read_text())["model"]
    vocabulary = sorted(words["vocab"], key=words["vocab"].get)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(3)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(300)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if word == END else 1 for word in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in words["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    right = {}
    for name, weight in load_file(base / "model.safetensors").items():
        part = name.removesuffix(".weight")
        layer = part.split(".")[2] if part.startswith("model.layers.") else None
        own = NAMES[part if layer is None else part.split(".", 3)[3]]
        own = f"{own}.weight" if layer is None else f"blk.{layer}.{own}.weight"
        x = weight.numpy()
        if x.ndim == 1:
            writer.add_tensor(own, x)
            right[name] = weight
            continue
        right[name] = torch.from_numpy(quantised(x))
        if heads := {"attn_q": 4, "attn_k": 2}.get(own.split(".")[-2]):
            # llama.cpp turns pairs of neighbours, transformers the halves of a head.
            x = x.reshape(heads, 2, 4, 32).swapaxes(1, 2).reshape(x.shape)
        writer.add_tensor(own, gguf.quants.quantize(x, Q8), raw_dtype=Q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return right


def test_a_gguf_file_is_dequantised_and_read_by_its_own_tokenizer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    base = save_tiny("llama", tmp_path / "base", **SIZE)
    # Beside it is another model, with another tokenizer.
    other = save_tiny("gpt2", tmp_path / "other")
    (other / "tokenizer.json").write_text("{}")
    file = other / "small-q8_0.gguf"
    right = save_gguf(base, file)
    model = ModelConfig(path=str(file))
    assert load_config(model).model_type == "llama"
    caplog.set_level("INFO")
    capfd.readouterr()
    trunk = load_trunk(model, PRETRAINED, CPU)
    assert "it/s" not in capfd.readouterr().err, "no bar of transformers beside ours"
    for name, weight in trunk.state_dict().items():
        torch.testing.assert_close(weight, right[f"model.{name}"], rtol=0, atol=1e-6)
    dense = sum(weight.nbytes for weight in trunk.parameters())
    assert "kB of GGUF are dequantised to 0.1 MB in float32" in caplog.text
    assert dense == 4 * sum(weight.numel() for weight in trunk.parameters())
    with pytest.raises(UserError, match="is a GGUF file, whose weights would have to be loaded"):
        open_unembedding(model)
    whole = load_language_model(model, CPU)
    torch.testing.assert_close(
        whole.state_dict()["lm_head.weight"], right["lm_head.weight"], rtol=0, atol=1e-6
    )
    expected = load_tokenizer(ModelConfig(path=str(base)))
    assert load_tokenizer(model)(LINES).input_ids == expected(LINES).input_ids
    name = "layers.2.mlp.up_proj.weight"
    torch.testing.assert_close(
        open_weights(model, PRETRAINED).find(name), right[f"model.{name}"], rtol=0, atol=1e-6
    )
    half = load_trunk(ModelConfig(path=str(file), dtype=DType.bfloat16), PRETRAINED, CPU)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    before = model_fingerprint(model, PRETRAINED)
    (other / "config.json").write_text("{}")
    assert model_fingerprint(model, PRETRAINED) == before
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    assert model_fingerprint(model, PRETRAINED) != before


def test_a_sweep_hashes_and_loads_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, digest = tmp_path / "m.gguf", hashlib.file_digest
    hashed: list[Any] = []

    def hash_file(stream: Any, kind: str) -> Any:
        hashed.append(stream)
        return digest(stream, kind)

    right = save_gguf(save_tiny("llama", tmp_path / "base", **SIZE), file)
    model = ModelConfig(path=str(file))
    monkeypatch.setattr(hashlib, "file_digest", hash_file)
    with keeping():
        trunk = keep_trunk(lambda: load_trunk(model, PRETRAINED, CPU), model, PRETRAINED, CPU)
        for _ in range(2):  # what hubs write to the vocabulary is read behind every job
            found = open_weights(model, PRETRAINED).find("embed_tokens.weight")
            torch.testing.assert_close(found, right["model.embed_tokens.weight"], rtol=0, atol=1e-6)
            assert recall_trunk(model, PRETRAINED, CPU) is trunk
        with pytest.raises(UserError, match=r"without its head, .* and lm_head\.weight is not in"):
            open_weights(model, PRETRAINED).find("lm_head.weight")
        assert len(hashed) == 1
        file.write_bytes(file.read_bytes() + b"\0")
        assert recall_trunk(model, PRETRAINED, CPU) is None
    assert len(hashed) == 2


def test_without_the_package_or_the_file_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "m.gguf"
    with pytest.raises(UserError, match=r"m\.gguf does not exist; give a GGUF file or a folder"):
        load_config(ModelConfig(path=str(file)))
    file.write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"model=m: .*m\.gguf could not be loaded") as raised:
        load_config(ModelConfig(path=str(file)))
    assert "\n" not in str(raised.value)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"gguf is not installed; pip install -c constraints\.txt '\.\[gguf\]'"
    ):
        load_config(ModelConfig(path=str(file)))
