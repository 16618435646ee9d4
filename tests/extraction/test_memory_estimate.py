"""The estimate against what is measured, what is refused, and where sums are placed."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from probe import api
from probe.config import (
    AverageConfig,
    Config,
    DataConfig,
    DType,
    ModelConfig,
    NullConfig,
    Scheme,
)
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction import memory_estimate as memory
from probe.extraction.accumulator import Accumulator
from probe.models import load_trunk, weights_bytes
from tests.tiny_models import ARCHITECTURES, save_tiny
from tests.warm import Warm

CPU, GPU, OTHER = torch.device("cpu"), torch.device("cuda:0"), torch.device("cuda:1")
MATRICES = [
    MatrixSpec("all", [0, 1, 2], [0, 1]),
    MatrixSpec("one", [1], [0]),
    MatrixSpec("two", [0, 2], [1]),
]


def request_of(scheme: str = "mean", std: bool = False, device_map: str | None = None) -> Request:
    config = Config(
        model=ModelConfig(id="bundled/tiny", device_map=device_map),
        data=DataConfig(source="text"),
        average=AverageConfig(scheme=Scheme(scheme), std=std),
        null=NullConfig(shifts=2),
    )
    matrices = [replace(matrix, scheme=scheme) for matrix in MATRICES]
    batches = [Batch([0, 1], [[1] * 30, [1] * 20]), Batch([2], [[1] * 40], cell=1)]
    return Request(config, [0, 1, 2], batches, ["a", "b", "c"], "test", matrices)


@pytest.mark.parametrize("scheme", ["mean", "fisher", "pooled"])
def test_sums_are_counted_without_being_made(scheme: str) -> None:
    request = request_of(scheme)
    trunk = load_trunk(request.config.model, request.config.init, CPU)
    sums = Accumulator(request, 1000, CPU)
    # Besides the sums, which neurons are defined in the examples that are still to be counted.
    assert sums.nbytes <= memory.estimate(trunk, request, 1000).sums <= 1.2 * sums.nbytes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_counted_without_loading_them(architecture: str, tmp_path: Path) -> None:
    model = ModelConfig(path=str(save_tiny(architecture, tmp_path)), dtype=DType.bfloat16)
    init = Config(data=DataConfig(source="text")).init
    trunk = load_trunk(model, init, CPU)
    assert weights_bytes(model, init) == sum(weight.nbytes for weight in trunk.parameters())


MEASURE = """
import torch
from functools import partial
from transformers import AutoConfig, AutoModel
from probe.extraction import memory_estimate as memory
from probe.extraction.activations import Reader
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.config import Config, DataConfig, Side, Site
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator

def status(name):
    [line] = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) * 1024

text = AutoConfig.for_model(
    "llama", hidden_size=512, num_hidden_layers=2, vocab_size=100, num_attention_heads=8,
    intermediate_size=1536, num_key_value_heads=2,
)
trunk = AutoModel.from_config(text, dtype=torch.float32).eval()
batch = Batch(list(range(12)), [[7] * 256] + [[7] * 200] * 11)
config = Config(data=DataConfig(source="text"))
request = Request(config, [0, 1], [batch], ["text"] * 12, "run", [MatrixSpec("all", [0, 1], [0])])
reader = Reader(trunk, config.model, [0, 1], Site.residual)
estimate = memory.estimate(trunk, request, reader.n_neurons()).batch

def read(batch):
    tensors = batch.tensors(0, Side.right, 0)
    sums = Accumulator(request, 512, torch.device("cpu"))
    reader.read(tensors, partial(sums.consume, batch, tensors))

read(Batch([0], [[1, 2, 3, 4, 5, 6, 7]]))  # threads, libraries
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
before = status("VmRSS")
read(batch)
print(estimate, status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_a_batch_takes_what_was_estimated_within_a_factor_of_two(libraries: Warm) -> None:
    run = libraries.run([sys.executable, "-c", MEASURE])
    estimate, measured = map(int, run.stdout.split())
    assert 0.5 < estimate / measured < 2


def test_scores_are_counted_where_attention_forms_them(tmp_path: Path) -> None:
    request = request_of()
    trunk = load_trunk(request.config.model, request.config.init, CPU)
    fused = memory.estimate(trunk, request, 20).batch
    trunk.config._attn_implementation = "eager"
    text = trunk.config.get_text_config()
    text._attn_implementation = "eager"
    scores = text.num_attention_heads * 8 * max(2 * 30**2, 40**2)
    assert fused < memory.estimate(trunk, request, 20).batch <= fused + scores


def test_standard_errors_over_layers_keep_a_matrix_for_every_example() -> None:
    request = request_of(std=True)
    trunk = load_trunk(request.config.model, request.config.init, CPU)
    without = memory.estimate(trunk, request_of(), 1000).batch
    assert memory.estimate(trunk, request, 1000).batch > without + 2 * 8 * 1000**2


# What is refused.


def test_where_nothing_is_known_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "total_memory", lambda device: None)
    memory.refuse_weights(request_of(), [CPU])
    memory.refuse_sums(memory.Needs(1, 1, 1 << 62), [CPU])


def memories(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    """Give devices memory, by their type."""
    monkeypatch.setattr(memory, "total_memory", lambda device: sizes[device.type])


def test_weights_larger_than_the_device_are_refused_before_they_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memories(monkeypatch, cuda=1_000_000, cpu=1_000_000)
    with pytest.raises(
        UserError,
        match=r"weights need 5\.8 MB in float32, but cuda:0 has 1\.0 MB; use "
        r"model\.dtype=bfloat16, model\.device_map=auto or",
    ):
        memory.refuse_weights(request_of(), [GPU])
    with pytest.raises(UserError, match=r"cpu has 1\.0 MB; use model\.dtype=bfloat16, or a"):
        memory.refuse_weights(request_of(), [CPU])
    with pytest.raises(UserError, match=r"cpu has 1\.0 MB"):
        api.extract("tracking=none", "runtime=cpu", "data.limit=2")


def test_devices_are_taken_together_where_the_model_is_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert memory.devices(GPU, spread=True) == [GPU, OTHER, CPU]
    assert memory.devices(GPU, spread=False) == [GPU]
    assert memory.devices(CPU, spread=True) == [CPU]
    memories(monkeypatch, cuda=2_000_000, cpu=2_000_000)
    memory.refuse_weights(request_of(), memory.devices(GPU, spread=True))
    memories(monkeypatch, cuda=1_000_000, cpu=2_000_000)
    with pytest.raises(UserError, match=r"cuda:0 and cuda:1 and cpu have 4\.0 MB; (?!.*device_m)"):
        memory.refuse_weights(request_of(device_map="auto"), memory.devices(GPU, spread=True))


def test_sums_larger_than_all_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    memories(monkeypatch, cuda=100, cpu=1000)
    memory.refuse_sums(memory.Needs(0, 0, 1100), [GPU])
    with pytest.raises(UserError, match=r"sums need .*, but cuda:0 and cpu have .*fewer layers"):
        memory.refuse_sums(memory.Needs(0, 0, 1101), [GPU])
    with pytest.raises(UserError, match="cpu has"):
        memory.refuse_sums(memory.Needs(0, 0, 1001), [CPU])


def test_the_estimate_is_one_line_and_a_tight_one_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    needs = memory.Needs(weights=1_980_000_000, batch=440_000_000, sums=12_845_056)
    with caplog.at_level(logging.INFO):
        memory.log_needs(needs, [CPU], 16_000_000_000)
    assert [record.message for record in caplog.records] == [
        "memory: weights 1.98 GB, a batch about 440.0 MB, sums 12.8 MB; cpu had 16.00 GB free"
    ]
    memory.log_needs(needs, [CPU], 2_400_000_000)
    assert "runtime.token_budget" in caplog.records[-1].message
    assert caplog.records[-1].levelno == logging.WARNING
