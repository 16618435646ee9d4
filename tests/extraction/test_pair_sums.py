"""Matrices between layers and of all layers, from one pass over the texts, however dealt out."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import AverageConfig, Config, DataConfig, ModelConfig, Scheme, Side, Weight
from probe.correlation import BatchShape
from probe.examples.batches import Batch, form_batches
from probe.examples.choose import Example
from probe.examples.partition import MatrixSpec, partition
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator
from probe.extraction.build_topologies import build_topologies
from probe.extraction.out_of_memory import Journal
from probe.extraction.sums import PairSums
from tests import reference

NEURONS, LAYERS = 6, [0, 2, 3]
PAIRS = {f"cross_layer_{i}_{j}": [i, j] for i, j in ((0, 2), (0, 3), (2, 3))}
CPU = torch.device("cpu")
steady = settings(derandomize=True, database=None, deadline=None, max_examples=10)


def on_cpu(_layers: Sequence[int], _size: int) -> torch.device:
    return CPU


class Texts:
    """Examples of some lengths; layer by layer less like the first, some neurons constant."""

    def __init__(self, lengths: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.examples = [Example(f"d{i}", [1] * length) for i, length in enumerate(lengths)]
        self.series: dict[int, list[np.ndarray]] = {layer: [] for layer in LAYERS}
        for number, length in enumerate(lengths):
            x = rng.standard_normal((length, NEURONS)) + rng.standard_normal((length, 1))
            for layer in LAYERS:
                y = (x + 0.2 * layer * rng.standard_normal(x.shape)).astype(np.float32)
                y[:, number % NEURONS] = 0.1 if layer == 2 else y[:, number % NEURONS]
                y[:, 4] = 7.0 if layer == 3 else y[:, 4]
                self.series[layer].append(y)

    def request(
        self, wanted: list[MatrixSpec], batches: list[Batch], weight: Weight, scheme: Scheme
    ) -> Request:
        config = Config(model=ModelConfig(id="a/b"), data=DataConfig(source="text", name="t"))
        config.average = AverageConfig(scheme=scheme, weight=weight)
        names = [example.document for example in self.examples]
        return Request(config, LAYERS, batches, names, "test", wanted)

    def sum_up(self, request: Request, batches: list[Batch]) -> Accumulator:
        totals = Accumulator(request, NEURONS, CPU)
        for batch in batches:
            tensors = batch.tensors(0, Side.left, 0)
            for layer in LAYERS:
                x = torch.full((*tensors.keep.shape, NEURONS), 3.0)
                for row, member in enumerate(batch.members):
                    x[row][tensors.keep[row]] = torch.from_numpy(self.series[layer][member])
                totals.consume(batch, tensors, layer, x)
        return totals

    def expected(self, layers: list[int], members: list[int], scheme: str, weight: str):
        together = [np.concatenate([self.series[k][m] for k in layers], axis=1) for m in members]
        return reference.topology([together], scheme, weight)


@steady
@given(
    lengths=st.lists(st.integers(8, 30), min_size=4, max_size=9),
    scheme=st.sampled_from([Scheme.mean, Scheme.fisher]),
    weight=st.sampled_from(list(Weight)),
    parts=st.integers(1, 2),
    budget=st.integers(20, 90),
    ranks=st.integers(1, 4),
)
def test_matrices_are_their_definitions_for_any_batches_and_ranks(
    lengths: list[int], scheme: Scheme, weight: Weight, parts: int, budget: int, ranks: int
) -> None:
    texts = Texts(lengths)
    for kind, groups in (("cross", PAIRS), ("full", {"full": LAYERS})):
        cells, wanted = partition(groups, texts.examples, scheme.value, parts, False, kind)
        batches = form_batches(texts.examples, budget, cells)
        request = texts.request(wanted, batches, weight, scheme)
        first, *others = (texts.sum_up(request, batches[rank::ranks]) for rank in range(ranks))
        for other in others:
            first.merge(other.state())
        for matrix, topology in zip(wanted, build_topologies(request, first.finish()), strict=True):
            members = [m for cell in matrix.cells for m in cells[cell]]
            expected = texts.expected(matrix.layers, members, scheme.value, weight.value)
            whole = np.flatnonzero(np.diagonal(expected) == 0).tolist()
            if kind == "cross":
                expected = expected[:NEURONS, NEURONS:]
            np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
            assert (topology.kind, topology.name) == (kind, matrix.name)
            assert topology.undefined == tuple(whole)
            if kind == "full":
                np.testing.assert_array_equal(topology.matrix, topology.matrix.T)
                defined = np.delete(np.diagonal(topology.matrix), whole)
                np.testing.assert_array_equal(defined, 1)


@pytest.mark.parametrize("scheme", [Scheme.mean, Scheme.fisher])
def test_halves_of_a_matrix_between_layers_are_correlated(scheme: Scheme) -> None:
    texts = Texts([20, 25, 14, 18, 30])
    cells, wanted = partition(PAIRS, texts.examples, scheme.value, 1, True, "cross")
    batches = form_batches(texts.examples, 60, cells)
    request = texts.request(wanted, batches, Weight.example, scheme)
    for topology in build_topologies(request, texts.sum_up(request, batches).finish()):
        halves = []
        for members in cells:
            both = texts.expected(list(topology.layers), members, scheme.value, "example")
            halves.append(both[:NEURONS, NEURONS:])
        lost = np.delete(np.arange(NEURONS), 4) if topology.layers[1] == 3 else np.arange(NEURONS)
        first, second = (half[:, lost].ravel() for half in halves)
        known = topology.reliability
        assert known is not None
        assert known.split_half == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-5)
        assert [numbers["mean_abs_r"] for numbers in known.halves] == pytest.approx(
            [np.abs(first).mean(), np.abs(second).mean()], abs=1e-6
        )


def test_layers_that_no_matrix_needs_are_passed_over() -> None:
    journal = Journal()
    matrices = [MatrixSpec("cross_layer_0_3", [0, 3], [0], kind="cross")]
    sums = PairSums(matrices, NEURONS, on_cpu, journal)
    keep, weight = torch.ones(1, 9, dtype=torch.bool), torch.ones(1, dtype=torch.float64)
    x = torch.randn(1, 9, NEURONS, generator=torch.Generator().manual_seed(0))
    assert [len(sums.update(layer, 0, x, keep, weight)) for layer in LAYERS] == [1, 0, 1]
    assert list(journal.series) == [0, 3]


def test_memory_is_a_stated_function() -> None:
    matrices = [MatrixSpec("full", [0, 1, 2, 3], [0, 1], kind="full")]
    for n, number in ((100, 8), (600, 4)):  # few neurons on a CPU are multiplied in float64
        sums = PairSums(matrices, n, on_cpu, Journal())
        assert 2 * (4 * 5 // 2) * n**2 * 8 < sums.nbytes < 1.03 * 2 * (4 * 5 // 2) * n**2 * 8
        series = sums.most_bytes(BatchShape(2, 32, CPU), cell=0).batch
        assert 4 * 64 * n * number < series < 1.03 * 4 * 64 * n * number


def test_sums_are_given_up_as_they_are_averaged() -> None:
    [matrix] = [MatrixSpec("cross_layer_0_3", [0, 3], [0], kind="cross")]
    sums = PairSums([matrix], NEURONS, on_cpu, Journal())
    sums.take(matrix, (0, 3))
    assert not sums.sums
