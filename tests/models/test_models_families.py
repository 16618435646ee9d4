"""What is particular to one family of models, and what real checkpoints have beyond tiny ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Gemma3Config, Gemma3ForConditionalGeneration
from transformers.models.gemma3.modeling_gemma3 import Gemma3PreTrainedModel

from probe.config import InitConfig, InitKind, ModelConfig, Side, Site
from probe.examples.batches import Batch
from probe.extraction.activations import Reader
from probe.models import find_blocks, load_trunk, text_config
from tests.tiny_models import ARCHITECTURES, CONTEXT, LAYERS, VOCABULARY, WIDTH, save_tiny

CPU = torch.device("cpu")
PRETRAINED, RANDOM = InitConfig(), InitConfig(kind=InitKind.random)
both_inits = pytest.mark.parametrize("init", [PRETRAINED, RANDOM], ids=["pretrained", "random"])
LONG, SHORT = list(range(1, 21)), list(range(30, 37))


def read(trunk: nn.Module, rows: list[list[int]], side: Side, site: Site) -> list[list[Tensor]]:
    """Read every layer's activations at the real tokens of each row."""
    found: list[list[Tensor]] = []
    tensors = Batch(list(range(len(rows))), rows).tensors(0, side, 0)
    reader = Reader(trunk, ModelConfig(path="tiny", padding_side=side), list(range(LAYERS)), site)
    reader.read(
        tensors,
        lambda _, x: found.append(
            [row[real].clone() for row, real in zip(x, tensors.attended, strict=True)]
        ),
    )
    return found


def trunk_of(folder: Path, init: InitConfig = PRETRAINED) -> nn.Module:
    return load_trunk(ModelConfig(path=str(folder)), init, CPU)


def edit(folder: Path, change: dict[str, Any], *removed: str) -> None:
    """Change the model's config.json, and in it every part that holds what is removed."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    for part in [config, *(value for value in config.values() if isinstance(value, dict))]:
        if any(part.pop(key, None) is not None for key in removed):
            part |= change
    file.write_text(json.dumps(config))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a Gemma 3 that also sees, in bfloat16 as the real ones, its eyes as deep as its text."""
    config = Gemma3Config(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "pad_token_id": 0,
            **ARCHITECTURES["gemma3_text"],
        },
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": 20,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
        image_token_index=VOCABULARY - 1,
    )
    folder = tmp_path_factory.mktemp("images")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Gemma3ForConditionalGeneration(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@both_inits
def test_of_a_model_that_also_sees_the_text_blocks_are_read(images: Path, init: InitConfig) -> None:
    trunk = trunk_of(images, init)
    assert {parameter.dtype for parameter in trunk.parameters()} == {torch.float32}
    blocks = find_blocks(trunk, ModelConfig(path="images"))
    assert blocks is trunk.get_submodule("language_model.layers")
    assert text_config(trunk).hidden_size == WIDTH
    found = read(trunk, [LONG], Side.left, Site.residual)
    with torch.no_grad():
        states = trunk(torch.tensor([LONG]), output_hidden_states=True).hidden_states
    assert len(found) == len(states) - 1 == LAYERS
    for (activations,), state in zip(found, states[1:], strict=True):
        torch.testing.assert_close(activations, state[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("site", list(Site))
def test_a_model_that_also_sees_reads_a_padded_text_as_it_reads_it_alone(
    images: Path, side: Side, site: Site
) -> None:
    trunk = trunk_of(images)
    together = read(trunk, [LONG, SHORT], side, site)
    for row, tokens in enumerate((LONG, SHORT)):
        for layer, (alone,) in enumerate(read(trunk, [tokens], side, site)):
            torch.testing.assert_close(together[layer][row], alone, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("side", list(Side))
def test_a_sliding_window_is_narrower_than_the_texts_of_these_tests(
    tmp_path: Path, side: Side
) -> None:
    trunk = trunk_of(save_tiny("gemma3_text", tmp_path))
    plain = read(trunk, [LONG], side, Site.residual)
    changed = read(trunk, [[99, *LONG[1:]]], side, Site.residual)
    reached = [
        (before - after).abs().amax(1) > 0
        for (before,), (after,) in zip(plain, changed, strict=True)
    ]
    assert reached[0].nonzero().flatten().tolist() == [0, 1, 2, 3]
    assert reached[1].all()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma3_text", "gpt2"])
def test_a_head_tied_to_the_embeddings_is_not_missed(
    architecture: str, tied: bool, tmp_path: Path
) -> None:
    folder = save_tiny(architecture, tmp_path, tie_word_embeddings=tied)
    saved = load_file(folder / "model.safetensors")
    assert ("lm_head.weight" in saved) is not tied
    embeddings = trunk_of(folder).get_input_embeddings()  # type: ignore[operator]
    [expected] = [
        w for name, w in saved.items() if name.endswith(("embed_tokens.weight", "wte.weight"))
    ]
    assert torch.equal(embeddings.weight, expected)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@both_inits
def test_the_precision_that_a_config_names_is_not_taken(
    images: Path, tmp_path: Path, key: str, init: InitConfig
) -> None:
    for file in images.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    # transformers 5 writes dtype; the configurations on the Hub are older.
    edit(tmp_path, {key: "bfloat16"}, "dtype", "torch_dtype")
    assert f'"{key}": "bfloat16"' in (tmp_path / "config.json").read_text()
    trunk = trunk_of(tmp_path, init)
    assert {parameter.dtype for parameter in trunk.parameters()} == {torch.float32}


def test_a_trunk_that_does_not_know_its_name_in_the_checkpoint_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What transformers 4.57 says of Gemma 3.
    monkeypatch.setattr(Gemma3PreTrainedModel, "base_model_prefix", "language_model")
    saved = load_file(save_tiny("gemma3_text", tmp_path) / "model.safetensors")
    weights = trunk_of(tmp_path).state_dict()
    assert {f"model.{name}" for name in weights} == saved.keys()
    assert all(torch.equal(weight, saved[f"model.{name}"]) for name, weight in weights.items())
