"""Dropping norm outliers is the definition over the tokens that are left, layer by layer."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import AverageConfig, DataConfig, NullConfig, Scheme, Side, Sinks, Weight
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.partition import partition
from probe.examples.request import Request
from probe.examples.sinks import with_sinks
from probe.extraction import token_set
from probe.extraction.accumulator import Accumulator
from probe.extraction.build_topologies import build_topologies
from probe.extraction.circular_shift import draw_shifts
from probe.extraction.out_of_memory import in_halves
from probe.topology import Topology
from tests import reference
from tests.extraction.test_accumulator import CPU, LAYERS, NEURONS, Texts

steady = settings(derandomize=True, database=None, deadline=None, max_examples=25)
ABOVE = 5.0


class Sunken(Texts):
    """Texts with tokens that are far longer than the others, other ones in every layer."""

    def __init__(self, lengths: list[int], seed: int = 0) -> None:
        super().__init__(lengths, seed)
        rng = np.random.default_rng(seed + 1)
        for layer in self.series:
            for x in layer:
                x[rng.random(len(x)) < 0.15] *= 40

    def left(self) -> list[list[np.ndarray]]:
        return reference.without_outliers(self.series, ABOVE)

    def wanted(
        self, sinks: Sinks, scheme: Scheme, weight: Weight, budget: int, **more: object
    ) -> Request:
        cells, matrices = partition({"all": LAYERS, "one": [1]}, self.examples, scheme.value)
        request = self.request(
            with_sinks(matrices, sinks), form_batches(self.examples, budget, cells),
            average=AverageConfig(scheme=scheme, weight=weight), **more,
        )  # fmt: skip
        request.config.data = DataConfig(source="text", sinks=sinks, drop_norm=ABOVE)
        return request

    def extract(
        self, request: Request, side: Side = Side.right, failures: float = 0.0, ranks: int = 1
    ) -> list[Topology]:
        """Read batches on some ranks, with memory that runs out now and then."""
        rng = np.random.default_rng(3)
        totals = [Accumulator(request, NEURONS, CPU) for _ in range(ranks)]
        for batch, total in zip(request.batches, itertools.cycle(totals), strict=False):

            def read(part: Batch, tensors: Tensors, total: Accumulator = total) -> None:
                for layer in LAYERS:
                    if len(part.members) > 1 and rng.random() < failures:
                        raise torch.OutOfMemoryError
                    x = torch.full((*tensors.keep.shape, NEURONS), 1e3)
                    for row, member in enumerate(part.members):
                        x[row][tensors.keep[row]] = torch.from_numpy(self.series[layer][member])
                    total.consume(part, tensors, layer, x)

            list(in_halves(batch, batch.tensors(0, side, 0), read, total.halve))
        for other in totals[1:]:
            totals[0].merge(other.state())
        return build_topologies(request, totals[0].finish())


@steady
@given(
    st.lists(st.integers(12, 30), min_size=4, max_size=8),
    st.sampled_from(list(Scheme)),
    st.sampled_from(list(Weight)),
    st.sampled_from(list(Side)),
    st.integers(20, 120),
    st.sampled_from([0.0, 0.3]),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_both_topologies_are_their_definitions(
    lengths: list[int], scheme: Scheme, weight: Weight, side: Side, budget: int,
    failures: float, ranks: int, seed: int,
) -> None:  # fmt: skip
    texts = Sunken(lengths, seed)
    request = texts.wanted(Sinks.both, scheme, weight, budget)
    topologies = texts.extract(request, side, failures, ranks)
    names = [topology.name for topology in topologies]
    assert names == ["all", "one", "all_without_sinks", "one_without_sinks"]
    whole = [len(x) for x in texts.series[0]]
    for topology in topologies:
        series = texts.left() if topology.without_sinks else texts.series
        of = [series[layer] for layer in topology.layers]
        expected = weighted(of, scheme, whole if weight is Weight.token else [1] * len(whole))
        np.testing.assert_allclose(topology.matrix, expected, atol=2e-6, rtol=0)
        assert topology.reliability is not None
        left = [len(x) for layer in of for x in layer]
        tokens = sum(left) / len(of)
        assert topology.reliability.tokens == pytest.approx(tokens, abs=0.5)
        dropped = {
            str(layer): sum(whole) - sum(map(len, one))
            for layer, one in zip(topology.layers, of, strict=True)
        }
        assert topology.reliability.dropped == {k: n for k, n in dropped.items() if n}
        w = np.array(whole if weight is Weight.token else [1] * len(whole))
        share = topology.reliability.strongest_share
        assert share == pytest.approx(reference.strongest_share(of, w), abs=1e-6)
        lost = {"mean": 1, "fisher": 3, "pooled": 0}[scheme.value]
        noise = [
            (w**2 / [max(len(x) - lost, 1) for x in layer]).sum() / w.sum() ** 2 for layer in of
        ]
        assert topology.reliability.noise == pytest.approx(np.mean(noise))


def weighted(of: list[list[np.ndarray]], scheme: Scheme, weights: list[int]) -> np.ndarray:
    """Average as the reference does, with weights that need not be those of the tokens left."""
    if scheme is not Scheme.pooled:
        values = np.array([[reference.example_correlation(x) for x in layer] for layer in of])
        if scheme is Scheme.fisher:
            values = np.arctanh(np.clip(values, -(1 - 1e-7), 1 - 1e-7))
        mean = np.average(values.mean(axis=0), axis=0, weights=weights)
        mean = np.tanh(mean) if scheme is Scheme.fisher else mean
        np.fill_diagonal(mean, 1)
        return np.asarray(mean)
    averages = []
    for layer in of:
        shares = [np.full(len(x), w / len(x)) for x, w in zip(layer, weights, strict=True)]
        tokens = np.concatenate(layer).astype(float)
        covariance = np.cov(tokens, rowvar=False, aweights=np.concatenate(shares), ddof=0)
        scale = np.sqrt(np.diagonal(covariance))
        averages.append(covariance / np.outer(scale, scale))
    return np.asarray(np.mean(averages, axis=0))


def test_a_text_of_which_one_token_is_left_is_left_out_in_that_layer_and_counted() -> None:
    """Of two tokens, the longer one is an outlier of the lower median."""
    rng = np.random.default_rng(0)
    for scheme in (Scheme.mean, Scheme.pooled):
        texts = Sunken([12, 14, 16, 18])
        texts.series[1][2] = rng.standard_normal((2, NEURONS)).astype(np.float32)
        texts.series[1][2][1] *= 1e4
        for layer in (0, 2):
            texts.series[layer][2] = texts.series[layer][2][:2]
        texts.examples[2] = type(texts.examples[2])("d1", [1, 1])
        request = texts.wanted(Sinks.drop, scheme, Weight.example, 60)
        one = texts.extract(request, failures=0.3)[1]
        left = [x for b, x in enumerate(texts.left()[1]) if b != 2]
        expected = weighted([left], scheme, [1, 1, 1])
        np.testing.assert_allclose(one.matrix, expected, atol=2e-6, rtol=0)
        assert one.reliability is not None
        assert one.reliability.left_out == {"1": 1}
        whole = 12 + 14 + 2 + 18
        assert one.reliability.tokens == sum(map(len, left))
        assert one.reliability.dropped == {"1": whole - sum(map(len, left))}


def test_a_null_shifts_what_is_left() -> None:
    texts = Sunken([25, 12, 40, 18])
    null = NullConfig(shifts=1, seed=5)
    request = texts.wanted(Sinks.drop, Scheme.mean, Weight.example, 60, null=null)
    totals = texts.sum_up(request, request.batches)
    found = totals.finish().matrices["one"].nulls[0]
    left = texts.left()[1]
    shifts = draw_shifts(5, 0, range(4), torch.tensor([len(x) for x in left]), NEURONS)
    rolled = [
        np.stack([np.roll(x[:, n], int(shifts[b, n])) for n in range(NEURONS)], axis=1)
        for b, x in enumerate(left)
    ]
    np.testing.assert_allclose(found, reference.topology([rolled], "mean"), atol=1e-6, rtol=0)


def test_an_outlier_that_is_not_finite_stops_the_run() -> None:
    texts = Sunken([20, 24, 28, 16])
    texts.series[1][2][5, 3] = np.inf
    request = texts.wanted(Sinks.drop, Scheme.mean, Weight.example, 60)
    with pytest.raises(UserError, match=r"example 2 .*not finite in layer 1"):
        texts.extract(request)


def test_dropping_nothing_is_keeping_everything() -> None:
    texts = Texts([20, 24, 28, 16])
    sunken = Sunken([20, 24, 28, 16])
    sunken.series = texts.series
    kept, _, dropped, _ = sunken.extract(sunken.wanted(Sinks.both, Scheme.mean, Weight.example, 60))
    np.testing.assert_array_equal(kept.matrix, dropped.matrix)
    assert kept.reliability is not None
    assert dropped.reliability is not None
    noise = pytest.approx(kept.reliability.noise)
    assert dropped.reliability == replace(kept.reliability, noise=noise)


def test_the_share_is_taken_over_a_sample_where_there_are_many_neurons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_set, "SHARED", 4)
    texts = Sunken([20, 24, 28, 16])
    sample = token_set.neurons_of(NEURONS, 4).numpy()
    of_sample = [[x[:, sample] for x in layer] for layer in texts.series]
    # The strongest token is that of all neurons.
    for layer, sampled in zip(texts.series, of_sample, strict=True):
        for b, x in enumerate(layer):
            norms = np.linalg.norm(x, axis=1)
            order = np.argsort(np.linalg.norm(sampled[b], axis=1))
            if order[-1] != norms.argmax():
                x[norms.argmax()] *= 50
                sampled[b] = x[:, sample]
    expected = reference.strongest_share(of_sample, [1, 1, 1, 1])
    for scheme in Scheme:
        request = texts.wanted(Sinks.keep, scheme, Weight.example, 60)
        reliability = texts.extract(request)[0].reliability
        assert reliability is not None
        assert reliability.strongest_share == pytest.approx(expected, abs=1e-6)


def test_one_token_that_rules_has_the_whole_topology_and_none_of_it_without() -> None:
    texts = Sunken([60, 70, 80, 90])
    for layer in texts.series:
        for x in layer:
            x[:] = np.random.default_rng(len(x)).standard_normal(x.shape)
            x[0] *= 1000
    kept, _, dropped, _ = texts.extract(texts.wanted(Sinks.both, Scheme.mean, Weight.example, 100))
    assert kept.reliability is not None
    assert dropped.reliability is not None
    assert kept.reliability.strongest_share == pytest.approx(1, abs=0.02)
    assert dropped.reliability.strongest_share is not None
    assert abs(dropped.reliability.strongest_share) < 0.5
