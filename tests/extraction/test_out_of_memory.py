"""Batches that run out of memory: read again in halves, nothing twice, nothing left out."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from probe import api, pipeline
from probe.config import AverageConfig, Config, NullConfig, Scheme, Side, Weight
from probe.correlation import between, by_example, coverage, mean, pooled, product, steep, strips
from probe.data import load_documents
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.choose import Example
from probe.examples.partition import partition
from probe.examples.plan import plan_extraction
from probe.examples.request import Request
from probe.extraction import batch_norms, token_norms, token_set
from probe.extraction.accumulator import Accumulator
from probe.extraction.out_of_memory import in_halves, out_of_memory
from probe.extraction.perplexity import perplexities
from probe.pipeline import extract_topologies
from tests.extraction.test_accumulator import LAYERS, NEURONS, Texts
from tests.tiny_models import save_tiny

prepare = partial(plan_extraction, score=perplexities)

LENGTHS = [25, 25, 24, 24, 24, 24, 23, 23, 23, 23, 12, 12, 11]
SAID = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 9 bytes."


class Memory:
    """Memory that ends where a batch of more than some rows reaches a layer."""

    def __init__(self, rows: int, layers: list[int], error: type[Exception]) -> None:
        self.most, self.layers, self.error = rows, layers, error
        self.rows = self.layer = self.failures = 0

    def take(self) -> None:
        if self.rows > self.most and self.layer in self.layers:
            self.failures += 1
            self.rows = 0  # what the forward pass had taken is free again
            raise self.error(SAID)


class Reading:
    """Reads batches into totals as the loop does, with activations that are made up."""

    def __init__(self, request: Request, texts: Texts, memory: Memory | None) -> None:
        self.totals = Accumulator(request, NEURONS, torch.device("cpu"))
        self.request, self.texts, self.memory = request, texts, memory
        self.forward_fails = False

    def read(self, batch: Batch, tensors: Tensors) -> None:
        for layer in LAYERS:
            if self.memory is not None:
                self.memory.rows, self.memory.layer = len(batch.members), layer
                if self.forward_fails:
                    self.memory.take()
            x = torch.full((*tensors.keep.shape, NEURONS), 3.0)
            for row, member in enumerate(batch.members):
                x[row][tensors.keep[row]] = torch.from_numpy(self.texts.series[layer][member])
            self.totals.consume(batch, tensors, layer, x)

    def run(self) -> dict[str, Tensor]:
        for batch in self.request.batches:
            tensors = batch.tensors(0, Side.left, 0)
            parts = list(in_halves(batch, tensors, self.read, self.totals.halve))
            assert [m for part, _ in parts for m in part.members] == batch.members
            assert {part.tokens.shape[1] for _, part in parts} == {tensors.tokens.shape[1]}
        return {**self.totals.state(), **self.totals.finish().to_tensors()}


def request_of(texts: Texts, scheme: Scheme, std: bool, kind: str = "layer") -> Request:
    pairs = {"one": [1, 2], "two": [0, 2]} if kind == "cross" else {"all": LAYERS}
    views = {"all": LAYERS, "one": [1]} if kind == "layer" else pairs
    cells, wanted = partition(views, texts.examples, scheme.value, kind=kind)
    batches = form_batches(texts.examples, 150, cells)
    assert max(len(batch.members) for batch in batches) > 4
    average = AverageConfig(scheme=scheme, std=std, weight=Weight.token)
    request = texts.request(wanted, batches, average=average, null=NullConfig(shifts=1))
    request.config.data.drop_norm = 1.3  # so that there are outliers to be counted
    return request


@cache
def uninterrupted(scheme: Scheme, std: bool, kind: str = "layer", steep: bool = False) -> dict[
    str, Tensor
]:  # fmt: skip
    """Sum up where memory suffices; the result is for reading."""
    texts = Texts(LENGTHS)
    for layer in LAYERS if steep else ([] if kind == "layer" else [1]):
        texts.series[layer][3][:, 2] = 0.1
    return Reading(request_of(texts, scheme, std, kind), texts, None).run()


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        bound = 1e-12
        scale = 1 + tensor.double().nan_to_num().abs()
        difference = (found[name].double() - tensor.double()) / scale
        # A matrix that is float32 in the end may fall to the other side of a rounding.
        bound = max(bound, 1.2e-7) if tensor.dtype == torch.float32 else bound
        assert difference.nan_to_num().abs().max() <= bound, name


SCHEMES = [(Scheme.mean, False), (Scheme.mean, True), (Scheme.fisher, False),
           (Scheme.fisher, True), (Scheme.pooled, False)]  # fmt: skip


@pytest.mark.parametrize(("scheme", "std"), SCHEMES)
@pytest.mark.parametrize(
    "rows", [2, *(pytest.param(rows, marks=pytest.mark.campaign) for rows in (1, 4))]
)
@pytest.mark.parametrize("layers", [[0], [1], [2], [0, 2], LAYERS], ids=str)
def test_a_forward_pass_that_fails_leaves_no_trace(
    scheme: Scheme, std: bool, rows: int, layers: list[int]
) -> None:
    texts = Texts(LENGTHS)
    memory = Memory(rows, layers, torch.OutOfMemoryError)
    reading = Reading(request_of(texts, scheme, std), texts, memory)
    reading.forward_fails = True
    same(reading.run(), uninterrupted(scheme, std))
    assert memory.failures > 0


@pytest.mark.parametrize("kind", ["cross", "full"])
@pytest.mark.parametrize("scheme", [Scheme.mean, Scheme.fisher])
@pytest.mark.parametrize("layers", [[0], [1], [2], LAYERS], ids=str)
@pytest.mark.parametrize("inner", [None, "multiply", "standardise", "add_weighted"])
def test_sums_between_layers_take_no_example_twice(
    kind: str, scheme: Scheme, layers: list[int], inner: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Texts(LENGTHS)
    texts.series[1][3][:, 2] = 0.1
    expected = uninterrupted(scheme, False, kind)
    memory = Memory(2, layers, RuntimeError)
    reading = Reading(request_of(texts, scheme, std=False, kind=kind), texts, memory)
    reading.forward_fails = inner is None
    if inner is not None:
        monkeypatch.setattr(between, inner, after(memory, getattr(between, inner)))
    same(reading.run(), expected)
    # Layer 0 has nothing before it to be multiplied with, and mean no sums in strips.
    idle = {"multiply": layers == [0], "add_weighted": layers == [0] or scheme is Scheme.mean}
    if not idle.get(inner or "", False) and (kind == "full" or layers != [1]):
        assert memory.failures > 0


def after(memory: Memory, function: Callable[..., Any]) -> Callable[..., Any]:
    """Fail when a function has done its work."""

    def fails(*arguments: Any, **more: Any) -> Any:
        found = function(*arguments, **more)
        memory.take()
        return found

    return fails


def before(memory: Memory, function: Callable[..., Any]) -> Callable[..., Any]:
    """Fail before a function does anything."""

    def fails(*arguments: Any, **more: Any) -> Any:
        memory.take()
        return function(*arguments, **more)

    return fails


# Where memory may end in an update, and whether before or after the work: after is worse.
PLACES: list[tuple[Any, str, Callable[..., Any]]] = [
    (mean, "standardise", after),
    (mean, "gram", after),
    (product, "multiply", after),
    (pooled, "gram", after),
    (pooled.PooledSums, "_move", after),
    (pooled.PooledSums, "_on_device", after),
    (by_example, "multiply", after),
    (by_example._Squares, "add", after),
    (steep.Steep, "arctanh", after),
    (coverage.Coverage, "_count", before),
    (batch_norms, "over_median", after),
    (token_norms.TokenNorms, "update", before),
    (token_set, "shift", after),
    (torch, "stack", before),
]


# In every run: a sum in place, a sum of strips, and the null model.
ALWAYS = {"gram", "_move", "arctanh", "shift"}


@pytest.mark.parametrize(
    ("owner", "name", "when"),
    [
        pytest.param(*place, id=place[1], marks=[pytest.mark.campaign] * (place[1] not in ALWAYS))
        for place in PLACES
    ],
)
def test_a_sum_that_fails_half_way_is_as_it_was(
    owner: Any, name: str, when: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several strips an example, and a look at constant neurons after every batch.
    monkeypatch.setattr(strips, "_CPU_STRIP", 400)
    monkeypatch.setattr(coverage, "_TOGETHER", 1)
    texts = Texts(LENGTHS)
    for layer in LAYERS:
        texts.series[layer][3][:, 2] = 0.1
    failures = 0
    for scheme, std in SCHEMES:
        request = request_of(texts, scheme, std)
        for layers in (LAYERS, [0], [2]):
            memory = Memory(2, layers, RuntimeError)
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, when(memory, getattr(owner, name)))
                found = Reading(request, texts, memory).run()
            same(found, uninterrupted(scheme, std, steep=True))
            failures += memory.failures
            if not memory.failures:
                break  # this scheme does not come here
    assert failures > 0


def test_an_example_that_does_not_fit_alone_is_named() -> None:
    texts = Texts(LENGTHS)
    reading = Reading(request_of(texts, Scheme.mean, False), texts, Memory(0, [1], MemoryError))
    reading.forward_fails = True
    with pytest.raises(UserError, match=r"example 0, alone in a batch of 25 tokens.*max_tokens"):
        reading.run()


def test_another_error_is_no_lack_of_memory() -> None:
    batch = Batch([0, 1], [[1, 2], [3, 4]])

    def read(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        list(in_halves(batch, batch.tensors(0, Side.right, 0), read))
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))


def test_the_allocators_own_errors_are_known() -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    with pytest.raises(MemoryError) as numpy_error:
        np.empty(1 << 58, dtype=np.uint8)
    assert out_of_memory(numpy_error.value)


def test_an_activation_that_is_not_finite_is_found_across_halves() -> None:
    texts = Texts(LENGTHS)
    texts.series[0][7][3, 2] = np.inf
    reading = Reading(
        request_of(texts, Scheme.mean, False), texts, Memory(2, [1], torch.OutOfMemoryError)
    )
    reading.forward_fails = True
    with pytest.raises(UserError, match=r"example 7 \(d3\).*not finite in layer 0"):
        reading.run()


# The whole way, through a model whose blocks run out of memory.

WORDS = [
    f"The {'long ' * (n % 2)}river carried {n} boats of sand to the sea, and none of them returned."
    for n in range(9)
]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp(request.param)
    model = save_tiny(request.param, folder / "model")
    texts = folder / "texts.jsonl"
    texts.write_text("\n".join(json.dumps({"text": text}) for text in WORDS))
    return api.compose(
        "model=local", f"model.path={model}", "data=text", f"data.path={texts}",
        "runtime.token_budget=300", "data.min_tokens=4", "layers=each", "runtime=cpu",
        "measures.rewired=0", "tracking=none", f"output={folder}",
    )  # fmt: skip


@contextmanager
def small_memory(name: str, rows: int) -> Iterator[None]:
    """Let a model's parts of some name take no more than some examples at once."""

    def take(part: nn.Module, inputs: tuple[Any, ...]) -> None:
        if type(part).__name__.endswith(name) and len(inputs[0]) > rows and inputs[0].shape[1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    handle = nn.modules.module.register_module_forward_pre_hook(take)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("side", list(Side))
def test_matrices_do_not_depend_on_memory(
    config: Config, side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(config, model=replace(config.model, padding_side=side))
    expected, facts = extract_topologies(config, load_documents(config))
    assert facts.out_of_memory == 0
    with small_memory("MLP", 2), caplog.at_level(logging.WARNING):
        found, halved = extract_topologies(config, load_documents(config))
    for topology, whole in zip(found, expected, strict=True):
        # The sizes of a model's own products are not the same, and so are their last digits.
        np.testing.assert_allclose(topology.matrix, whole.matrix, atol=1e-6, rtol=0)
    assert halved.out_of_memory == sum(
        len(batch.members) > 2 for batch in prepare(config, load_documents(config))[0].batches
    )
    assert halved.first_token_norm == pytest.approx(facts.first_token_norm, abs=1e-3)
    assert (halved.examples, halved.tokens) == (9, facts.tokens)
    said = [record.message for record in caplog.records if "ran out of memory" in record.message]
    assert len(said) == 1
    assert "was read in" in said[0]


@pytest.mark.usefixtures("no_figures")
def test_the_manifest_counts_batches_and_one_example_too_many_is_told(config: Config) -> None:
    with small_memory("MLP", 2):
        run = pipeline.run(config)
    assert json.loads((run / "manifest.json").read_text())["out_of_memory"] > 0
    again = replace(config, overwrite=True)
    with small_memory("MLP", 0), pytest.raises(UserError, match=r"data\.max_tokens="):
        pipeline.run(again)


def test_activations_come_whole_from_batches_that_are_read_in_parts(config: Config) -> None:
    expected = list(api.iterate(config))
    with small_memory("MLP", 2):
        found = list(api.iterate(config))
    assert [one.example for one in found] == [one.example for one in expected]
    for one, other in zip(found, expected, strict=True):
        for layer, activations in other.layers.items():
            torch.testing.assert_close(one.layers[layer], activations, atol=1e-5, rtol=1e-5)


def test_perplexities_do_not_depend_on_memory(config: Config, tmp_path: Path) -> None:
    examples = [Example(f"d{n}", [5 + n] * (10 + n % 3)) for n in range(8)]
    first, second = (replace(config, output=str(tmp_path / part)) for part in ("a", "b"))
    expected = perplexities(examples, first)
    with small_memory("MLP", 3):
        np.testing.assert_allclose(perplexities(examples, second), expected, rtol=1e-5)
