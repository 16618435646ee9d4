"""The model of cost, and the table of docs/scale.md made of it."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks import cost
from benchmarks.shapes import SHAPES, make_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
CPU = torch.device("cpu")


def test_weights_are_those_of_the_blocks_but_for_norms_and_biases() -> None:
    model = make_model("tiny", torch.float32, CPU)
    blocks = [
        weight.numel()
        for name, weight in model.named_parameters()
        if ".layers." in name and weight.dim() == 2
    ]
    assert cost.trunk_weights(SHAPES["tiny"]) == sum(blocks)


def test_operations_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = make_model("small", torch.float32, CPU)
    tokens = torch.zeros(2, 64, dtype=torch.long)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.get_submodule("model")(input_ids=tokens, use_cache=False)
    shape = SHAPES["small"]
    layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
    sums = 128 * 2 * 9 / 16 * layers * hidden**2
    counted = counter.get_total_flops()
    # Attention to what comes after a token is counted where it is computed and masked.
    assert cost.operations(shape, 128, 64) - sums == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize(("shape", "column"), [("0.5b", 1), ("7b", 2)])
def test_the_page_says_what_the_model_of_cost_says(shape: str, column: int) -> None:
    size = SHAPES[shape]
    layers = size["num_hidden_layers"]
    pairs = layers * (layers - 1) // 2
    operations = cost.operations(size, 512_000, 512)
    expected = [
        [operations / 1e15],
        [operations / 0.2e12 / 3600],
        [operations / 50e12 / (1 if shape == "0.5b" else 60)],
        [cost.sums_bytes(size, 1) / 1e6, cost.sums_bytes(size, layers)],
        [cost.sums_bytes(size, n, halves=False) / 1e9 for n in (pairs, pairs + layers)],
        [cost.matrix_bytes(size, 1) / 1e6, cost.matrix_bytes(size, layers)],
        [cost.matrix_bytes(size, pairs), cost.matrix_bytes(size, layers**2)],
    ]
    table = PAGE.read_text(encoding="utf-8").split("## What will it cost me")[1]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(expected)
    for row, numbers in zip(rows, expected, strict=True):
        said = re.findall(r"([\d.]+) (\w+)", row[column + 1])
        for (number, unit), value in zip(said, numbers, strict=True):
            scale = {"MB": 1e6, "GB": 1e9}[unit] if value > 1e6 else 1
            digit = 10.0 ** -(len(number.partition(".")[2]))
            assert float(number) == pytest.approx(value / scale, abs=0.51 * digit)
