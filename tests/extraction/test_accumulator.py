"""Matrices, halves, nulls and samples of layers against the definition, from one pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probe.config import (
    AverageConfig,
    Coefficient,
    Config,
    DataConfig,
    Matmul,
    NullConfig,
    RuntimeConfig,
    Scheme,
    Side,
    Weight,
)
from probe.correlation import Correlation, product, rank
from probe.examples.batches import Batch, form_batches
from probe.examples.choose import Example
from probe.examples.partition import MatrixSpec, partition
from probe.examples.request import Request
from probe.extraction import accumulator
from probe.extraction.accumulator import Accumulator
from probe.extraction.circular_shift import draw_shifts
from tests import reference

NEURONS, LAYERS = 7, [0, 1, 2]
steady = settings(derandomize=True, database=None, deadline=None, max_examples=15)
CPU = torch.device("cpu")


class Texts:
    """Examples of some lengths, and activations of every layer that share a common part."""

    def __init__(self, lengths: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.examples = [Example(f"d{i // 2}", [1] * length) for i, length in enumerate(lengths)]
        common = [rng.standard_normal((length, NEURONS)) for length in lengths]
        mixing = np.eye(NEURONS) + 0.5 * rng.standard_normal((NEURONS, NEURONS))
        self.series = [
            [(x @ mixing + 0.4 * rng.standard_normal(x.shape)).astype(np.float32) for x in common]
            for _ in LAYERS
        ]

    def request(self, wanted: list[MatrixSpec], batches: list[Batch], **config: object) -> Request:
        names = [example.document for example in self.examples]
        whole = Config(data=DataConfig(source="text"), **config)  # type: ignore[arg-type]
        return Request(whole, LAYERS, batches, names, "test", wanted)

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

    def expected(
        self, layers: list[int], members: list[int], scheme: str, weight: str = "example"
    ) -> np.ndarray:
        series = [[self.series[layer][member] for member in members] for layer in layers]
        return reference.topology(series, scheme, weight)


def close(average: Correlation | torch.Tensor | None, expected: np.ndarray) -> None:
    assert average is not None
    matrix = average.matrix if isinstance(average, Correlation) else average
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-6, rtol=0)


@steady
@given(
    st.lists(st.integers(8, 30), min_size=4, max_size=9),
    st.sampled_from(list(Scheme)),
    st.integers(1, 2),
    st.integers(20, 90),
)
def test_wholes_parts_and_halves_are_their_definitions(
    lengths: list[int], scheme: Scheme, parts: int, budget: int
) -> None:
    texts = Texts(lengths)
    cells, wanted = partition({"all": LAYERS, "one": [1]}, texts.examples, scheme.value, parts)
    batches = form_batches(texts.examples, budget, cells)
    average = AverageConfig()
    weight = "token" if scheme is Scheme.pooled else "example"
    average.weight = Weight(weight)
    result = texts.sum_up(texts.request(wanted, batches, average=average), batches).finish()
    for matrix in wanted:
        members = sorted(m for cell in matrix.cells for m in cells[cell])
        expected = texts.expected(matrix.layers, members, scheme.value, weight)
        close(result.matrices[matrix.name].average, expected)
        for half, cell in enumerate(matrix.cells if matrix.halves else []):
            expected = texts.expected(matrix.layers, cells[cell], scheme.value, weight)
            close(result.matrices[matrix.name].halves[half], expected)


def test_one_pass_serves_matrices_that_share_texts() -> None:
    texts = Texts([12, 15, 20, 9, 30])
    cells = [[0], [1], [2, 3], [4]]
    wanted = [
        MatrixSpec("first", [1], [0]),
        MatrixSpec("part1", [1], [0, 1]),
        MatrixSpec("part2", [1], [2]),
        MatrixSpec("fisher", [1], [0, 2], "fisher"),
        MatrixSpec("everything", LAYERS, [0, 1, 2, 3]),
        MatrixSpec("layer", [1], [0, 1, 2, 3]),
    ]
    batches = form_batches(texts.examples, 40, cells)
    result = texts.sum_up(texts.request(wanted, batches), batches).finish()
    for matrix in wanted:
        members = sorted(m for cell in matrix.cells for m in cells[cell])
        close(
            result.matrices[matrix.name].average,
            texts.expected(matrix.layers, members, matrix.scheme),
        )


@pytest.mark.parametrize(
    ("scheme", "correlation"),
    [
        *((scheme, Coefficient.pearson) for scheme in Scheme),
        (Scheme.mean, Coefficient.spearman),
        (Scheme.fisher, Coefficient.spearman),
    ],
)
def test_a_null_is_the_topology_of_rolled_series(scheme: Scheme, correlation: Coefficient) -> None:
    texts = Texts([25, 12, 40, 18])
    cells, wanted = partition({"all": LAYERS}, texts.examples, scheme.value)
    batches = form_batches(texts.examples, 60, cells)
    weight = Weight.token if scheme is Scheme.pooled else Weight.example
    average = AverageConfig(scheme, weight, correlation=correlation)
    null = NullConfig(shifts=2, seed=5)
    request = texts.request(wanted, batches, average=average, null=null)
    result = texts.sum_up(request, batches).finish()
    lengths = torch.tensor([25, 12, 40, 18])
    for repetition in range(2):
        shifts = draw_shifts(5, repetition, range(4), lengths, NEURONS)
        rolled = [
            [
                np.stack([np.roll(x[:, n], int(shifts[b, n])) for n in range(NEURONS)], axis=1)
                for b, x in enumerate(layer)
            ]
            for layer in texts.series
        ]
        if correlation is Coefficient.spearman:
            rolled = reference.ranked(rolled)
        expected = reference.topology(rolled, scheme.value, average.weight.value)
        close(result.matrices["all"].nulls[repetition], expected)
    assert len(result.matrices["all"].nulls) == 2


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
def test_spearmans_r_and_its_standard_error_are_scipys(scheme: str) -> None:
    texts = Texts([25, 12, 40, 18])
    for layer in texts.series:
        layer[1][::3] = np.round(layer[1][::3])  # ties
    cells, wanted = partition({"one": [1]}, texts.examples, scheme)
    batches = form_batches(texts.examples, 60, cells)
    average = AverageConfig(Scheme(scheme), std=True, correlation=Coefficient.spearman)
    result = texts.sum_up(texts.request(wanted, batches, average=average), batches).finish()
    r = np.stack([stats.spearmanr(x).statistic for x in texts.series[1]])
    if scheme == "fisher":
        r = np.arctanh(np.clip(r, -1 + 1e-7, 1 - 1e-7))
    mean, error = r.mean(axis=0), r.std(axis=0, ddof=1) / 2
    if scheme == "fisher":
        mean, error = np.tanh(mean), error * (1 - np.tanh(mean) ** 2)
    np.fill_diagonal(mean, 1)
    np.fill_diagonal(error, 0)
    close(result.matrices["one"].average, mean)
    close(result.matrices["one"].standard_error, error)


def test_every_layer_is_ranked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = []
    monkeypatch.setattr(accumulator, "rank", lambda x, keep: ranked.append(1) or rank(x, keep))
    texts = Texts([25, 12])
    cells, wanted = partition({"all": LAYERS, "one": [1]}, texts.examples)
    batches = form_batches(texts.examples, 60, cells)
    average = AverageConfig(correlation=Coefficient.spearman)
    texts.sum_up(texts.request(wanted, batches, average=average, null=NullConfig(2)), batches)
    assert len(ranked) == len(LAYERS) * len(batches)


def test_layers_agree_with_their_mean_as_their_matrices_do() -> None:
    texts = Texts([25, 12, 40, 18])
    cells, wanted = partition({"all": LAYERS, "one": [1]}, texts.examples)
    batches = form_batches(texts.examples, 60, cells)
    result = texts.sum_up(texts.request(wanted, batches), batches).finish()
    upper = np.triu_indices(NEURONS, 1)
    mean = texts.expected(LAYERS, [0, 1, 2, 3], "mean")[upper]
    expected = [
        np.corrcoef(texts.expected([layer], [0, 1, 2, 3], "mean")[upper], mean)[0, 1]
        for layer in LAYERS
    ]
    agreement = result.matrices["all"].agreement
    assert agreement is not None
    np.testing.assert_allclose(agreement.numpy(), expected, atol=1e-5)
    assert result.matrices["one"].agreement is None


def test_ranks_that_merge_their_states_know_all_that_one_would() -> None:
    texts = Texts([25, 12, 40, 18, 21])
    cells, wanted = partition({"all": LAYERS, "one": [1]}, texts.examples)
    batches = form_batches(texts.examples, 60, cells)
    request = texts.request(wanted, batches, null=NullConfig(shifts=1))
    alone = texts.sum_up(request, batches).finish().to_tensors()
    first = texts.sum_up(request, batches[::2])
    first.merge(texts.sum_up(request, batches[1::2]).state())
    together = first.finish().to_tensors()
    assert alone.keys() == together.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, atol=1e-7, rtol=0)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_products_have_the_precision_asked_for(
    scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "_SMALL", 0)  # so few neurons would be multiplied in float64
    texts = Texts([40, 50, 60])
    cells, wanted = partition({"all": LAYERS}, texts.examples, scheme.value, halves=False)
    batches = form_batches(texts.examples, 120, cells)
    weight = Weight.token if scheme is Scheme.pooled else Weight.example
    expected = texts.expected(LAYERS, [0, 1, 2], scheme.value, weight.value)
    error = {}
    for matmul in Matmul:
        request = texts.request(
            wanted,
            batches,
            average=AverageConfig(scheme=scheme, weight=weight),
            runtime=RuntimeConfig(matmul=matmul),
        )
        result = texts.sum_up(request, batches).finish()
        average = result.matrices["all"].average
        assert average is not None
        error[matmul] = np.abs(average.matrix.numpy() - expected).max()
    assert error[Matmul.fp32] <= 1e-6
    assert error[Matmul.fp32] < error[Matmul.bf16x3] <= 7e-6
    # A CPU multiplies in nothing between: it is more exact than asked for.
    assert error[Matmul.tf32] == error[Matmul.fp32]
