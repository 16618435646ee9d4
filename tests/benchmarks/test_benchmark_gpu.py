"""The parts of the benchmark on a GPU do on a CPU what they will do there."""

import argparse
import json
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import __main__ as program
from benchmarks import factors, gpu
from benchmarks.report import Report, save
from benchmarks.shapes import SHAPES, make_model
from probe.config import Matmul, Side
from probe.examples.batches import Batch

CPU = torch.device("cpu")
OPTIONS = argparse.Namespace(rounds=1, examples=3, tokens=20, processes=1, device="cpu")


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu, "save", lambda report: save(report, tmp_path))
    monkeypatch.setattr(factors, "run", lambda options: None)
    return tmp_path


def measure(limit: float, rounds: int = 1) -> Report:
    options = argparse.Namespace(**vars(OPTIONS) | {"rounds": rounds})
    pool: Any = ThreadPoolExecutor(1)
    with pool:
        return gpu.measure(CPU, ["tiny"], options, pool, limit)


def test_without_a_device_one_line_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.run(OPTIONS)
    assert caplog.messages == ["gpu: there is no CUDA device here, so nothing is measured"]


def test_every_row_is_measured_and_judged(saved: Path) -> None:
    result = measure(600)
    ways = [f"mean, {matmul.value}" for matmul in Matmul]
    assert [(row[1], row[2]) for row in result.rows] == [
        *(("float32", way) for way in ("bare trunk forward", *ways)),
        ("float32", "published method, texts: 1; over mean"),
        *(("bfloat16", way) for way in ("bare trunk forward", *ways)),
    ]
    bars = {(row[1], row[2]): (row[4], row[5], row[6]) for row in result.rows if row[5]}
    assert {kind: bar for kind, (_, bar, _) in bars.items()} == {
        ("float32", "mean, fp32"): "≤ 1.10",
        ("float32", "published method, texts: 1; over mean"): "≥ 20",
        ("bfloat16", "mean, bf16x3"): "≤ 1.15",
    }
    for ratio, bar, verdict in bars.values():
        sign, value = bar.split()
        holds = float(ratio) <= float(value) if sign == "≤" else float(ratio) >= float(value)
        assert verdict == ("holds" if holds else "does not hold")
    errors = [float(row[7]) for row in result.rows if row[7]]
    assert len(errors) == 6
    assert max(errors) < 1e-6
    assert len(result.notes) == 12, "a sentence for each of three texts, both sides and types"
    content = json.loads((saved / "gpu.json").read_text())
    assert len(content["measured"]["padded"]) == 12
    assert "seconds" in content["facts"]


def test_what_no_longer_fits_is_left_out_and_said(saved: Path) -> None:
    result = measure(-1)
    assert result.rows == []
    [note] = result.notes
    assert note.endswith("tiny, float32; tiny, bfloat16; factors.")


def test_what_runs_out_of_memory_is_said(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(gpu, "make_model", fail)
    [note] = measure(600).notes
    assert "tiny, float32 (CUDA out of memory.); tiny, bfloat16 (CUDA" in note


def trunk_of(dtype: torch.dtype = torch.float32) -> nn.Module:
    return make_model("tiny", dtype, CPU).get_submodule("model")


def test_an_error_is_that_of_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = torch.randint(SHAPES["tiny"]["vocab_size"], (3, 20))
    batch = Batch([0, 1, 2], tokens.tolist())
    assert gpu.error_of(trunk_of(), batch, 1, Matmul.fp32) < 1e-6
    matrices = gpu.Ours.matrices
    wrong = 1e-3 * torch.eye(SHAPES["tiny"]["hidden_size"])
    monkeypatch.setattr(gpu.Ours, "matrices", lambda self: [m + wrong for m in matrices(self)])
    assert gpu.error_of(trunk_of(), batch, 1, Matmul.fp32) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("dtype", gpu.DTYPES)
def test_padded_texts_are_compared_with_texts_alone(side: Side, dtype: torch.dtype) -> None:
    rows = gpu.padded(trunk_of(dtype), "tiny", dtype, side, (20, 7))
    assert [(row.side, row.length, row.not_finite) for row in rows] == [
        (side.value, 20, 0), (side.value, 7, 0),
    ]  # fmt: skip
    assert all(row.x <= row.bound for row in rows)


def test_activations_that_are_not_finite_are_counted() -> None:
    trunk: Any = trunk_of()

    def spoil(_: Any, __: Any, output: Any) -> Any:
        output = output.clone()
        if len(output) > 1:  # as with sdpa over a row of padding
            output[1, -1, 0] = float("nan")
        return output

    trunk.layers[0].register_forward_hook(spoil)
    [sound, spoilt] = gpu.padded(trunk, "tiny", torch.float32, Side.left, (20, 7))
    assert sound.not_finite == 0
    assert spoilt.not_finite > 0
    assert math.isnan(spoilt.x), "no difference is told where there is none"


@pytest.mark.parametrize("package", ["hydra.core", "omegaconf", "wandb"])
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr(program, "import_module", fail)
    with pytest.raises(SystemExit, match=f"gpu needs the package {package.partition('.')[0]},"):
        program.import_part("gpu")
