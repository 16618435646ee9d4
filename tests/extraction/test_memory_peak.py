"""What sums are estimated to take against what the allocator hands out while they are fed."""

import gc
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from probe.config import AverageConfig, Coefficient, Config, DataConfig, NullConfig, Scheme, Side
from probe.correlation import BatchShape, coverage
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator

CPU, META = torch.device("cpu"), torch.device("meta")
LAYERS, ROWS, TOKENS = [0, 1], 8, 40
EACH = [MatrixSpec(f"layer_{layer}", [layer], [0, 1]) for layer in LAYERS]
MATRICES = {
    "each": EACH,
    "all": [MatrixSpec("all", LAYERS, [0, 1]), *EACH[:1]],
    "cross": [MatrixSpec("cross", LAYERS, [0, 1], kind="cross")],
    "full": [MatrixSpec("full", LAYERS, [0, 1], kind="full")],
}


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that were allocated at once, those inside of operations included."""
    gc.collect()  # what an earlier test left would count as freed here
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()
    del result
    recorded = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    events = [(e.start_ns(), e.nbytes()) for e in recorded if e.name() == "[memory]"]
    return max(accumulate(size for _, size in sorted(events)))


def request_of(kind: str, scheme: str, std: bool = False, nulls: int = 0) -> Request:
    config = Config(
        data=DataConfig(source="text"),
        average=AverageConfig(scheme=Scheme(scheme), std=std),
        null=NullConfig(shifts=nulls),
    )
    batches = [
        Batch(list(range(ROWS * number, ROWS * (number + 1))), [[1] * TOKENS] * ROWS, number % 2)
        for number in range(6)
    ]
    matrices = [replace(matrix, scheme=scheme) for matrix in MATRICES[kind]]
    return Request(config, LAYERS, batches, ["text"] * 6 * ROWS, "test", matrices)


def draw(n_neurons: int, steep: bool, constants: bool) -> list[Tensor]:
    """Draw a batch's activations, with a large part in common where all r are to be `steep`."""
    generator = torch.Generator().manual_seed(0)
    common = 10.0 * steep * torch.randn(ROWS, TOKENS, 1, generator=generator)
    shape = ROWS, TOKENS, n_neurons
    layers = [common + torch.randn(shape, generator=generator) for _ in LAYERS]
    for x in layers if constants else []:
        x[:, :, 7] = 1
    return layers


def estimate_and_peak(
    request: Request, n_neurons: int, steep: bool, constants: bool
) -> tuple[int, int]:
    layers = draw(n_neurons, steep, constants)

    def extract() -> dict[str, Tensor]:
        sums = Accumulator(request, n_neurons, CPU)
        for batch in request.batches:
            tensors = batch.tensors(0, Side.right, 0)
            for layer, x in zip(LAYERS, layers, strict=True):
                sums.consume(batch, tensors, layer, x)
        return sums.state()

    sums = Accumulator(request, n_neurons, META)
    most = sums.most_bytes(BatchShape(ROWS, TOKENS, CPU, constants), cell=0)
    return sums.nbytes + sum(most), peak_of(extract)


@pytest.fixture(autouse=True)
def coverage_is_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches are enough for a second matrix, where hundreds of examples would be needed."""
    monkeypatch.setattr(coverage, "_TOGETHER", ROWS)


@pytest.mark.parametrize("constants", [pytest.param(False, marks=pytest.mark.campaign), True])
@pytest.mark.parametrize(
    ("kind", "scheme", "std", "nulls"),
    [
        ("each", "mean", False, 2),
        ("each", "mean", True, 0),
        ("all", "mean", True, 1),
        ("each", "fisher", False, 0),
        ("all", "fisher", True, 2),
        ("all", "pooled", False, 1),
        ("cross", "mean", False, 0),
        ("cross", "fisher", False, 0),
        ("full", "mean", False, 0),
        ("full", "fisher", False, 0),
    ],
)
def test_sums_take_at_most_what_is_estimated_and_not_much_less(
    kind: str, scheme: str, std: bool, nulls: int, constants: bool
) -> None:
    request = request_of(kind, scheme, std, nulls)
    estimate, peak = estimate_and_peak(request, 300, steep=scheme == "fisher", constants=constants)
    assert peak <= estimate <= 1.5 * peak


@pytest.mark.parametrize("scheme", ["mean", "fisher", "pooled"])
def test_neurons_whose_products_are_float32_take_at_most_what_is_estimated(scheme: str) -> None:
    request = request_of("each", scheme)
    estimate, peak = estimate_and_peak(request, 520, steep=True, constants=True)
    assert peak <= estimate <= 1.5 * peak


@pytest.mark.parametrize(("kind", "nulls"), [("each", 1), ("full", 0)])
def test_what_ranks_are_sorted_with_is_counted(kind: str, nulls: int) -> None:
    request = request_of(kind, "mean", nulls=nulls)
    estimate, peak = estimate_and_peak(request, 300, False, False)
    request.config.average.correlation = Coefficient.spearman
    ranked_estimate, ranked_peak = estimate_and_peak(request, 300, False, False)
    assert ranked_estimate > estimate
    assert ranked_peak > peak
    assert ranked_peak <= ranked_estimate <= 1.5 * ranked_peak


@pytest.mark.parametrize("kind", ["each", "cross"])
def test_correlations_that_are_not_steep_take_no_more(kind: str) -> None:
    estimate, peak = estimate_and_peak(request_of(kind, "fisher"), 300, False, False)
    assert peak <= estimate <= 2 * peak


def test_constant_neurons_double_the_sums() -> None:
    sums = Accumulator(request_of("full", "mean"), 300, META)
    without, with_constants = (
        sums.most_bytes(BatchShape(ROWS, TOKENS, CPU, constants), cell=0).run
        for constants in (False, True)
    )
    assert with_constants - without == pytest.approx(sums.pairs.nbytes, rel=0.01)
