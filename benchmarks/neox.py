"""Random weights in the shape of GPT-NeoX, block by block."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers import GPTNeoXConfig

from benchmarks.published_multifractal import Block
from experiments.multifractal.layouts import Layout, layout
from probe.api.parts import Weights

NAMES = (
    "attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h",
)  # fmt: skip


def config(n_blocks: int, width: int) -> GPTNeoXConfig:
    """Return the configuration of a shape; heads are of 64."""
    return GPTNeoXConfig(
        num_hidden_layers=n_blocks,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=max(1, width // 64),
        vocab_size=64,
    )


def published_layout(n_blocks: int, width: int) -> Layout:
    """Return which neurons and edges the published code takes."""
    return layout(config(n_blocks, width), "random", published=True)


def random_blocks(
    n_blocks: int, width: int, sigma: tuple[float, float], seed: int = 0
) -> Iterator[Block]:
    """Draw float32 weights; of inputs with the first standard deviation, of outputs the second."""
    rng = np.random.default_rng(seed)
    into, out = map(np.float32, sigma)

    def draw(scale: np.float32, *shape: int) -> NDArray[Any]:
        return rng.standard_normal(shape, dtype=np.float32) * scale

    for _ in range(n_blocks):
        yield Block(
            draw(into, 3 * width, width),
            draw(out, width, width),
            draw(into, 4 * width, width),
            draw(out, width, 4 * width),
        )


def weights_of(blocks: list[Block]) -> Weights:
    """Name weights as a checkpoint does."""
    readers = {
        f"layers.{number}.{name}.weight": partial(torch.from_numpy, one)
        for number, block in enumerate(blocks)
        for name, one in zip(NAMES, block, strict=True)
    }
    return Weights("random", readers)


def write_shards(folder: Path, n_blocks: int, width: int, sigma: tuple[float, float]) -> None:
    """Write a checkpoint of float16 weights, a shard for each block."""
    config(n_blocks, width).save_pretrained(folder)
    places: dict[str, str] = {}
    for number, block in enumerate(random_blocks(n_blocks, width, sigma)):
        file = f"model-{number + 1:05}-of-{n_blocks:05}.safetensors"
        named = {
            f"gpt_neox.layers.{number}.{name}.weight": one.astype(np.float16)
            for name, one in zip(NAMES, block, strict=True)
        }
        save_file(named, folder / file)
        places |= dict.fromkeys(named, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
