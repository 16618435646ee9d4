"""Correlations between layers against `np.corrcoef` over the layers side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from probe.correlation import BetweenSums, Correlation, batch_series, between, product
from tests import reference

NEURONS = 24
CPU = torch.device("cpu")
Layers = list[list[np.ndarray]]


@pytest.fixture(params=["float64 product", "float32 product"], autouse=True)
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices take the product of large ones, too."""
    if request.param == "float32 product":
        monkeypatch.setattr(product, "_SMALL", 0)


def draw(seed: int, examples: int = 7, **kind: Any) -> Layers:
    """Draw two layers, the second like the first as residual streams are; `kind` makes it hard."""
    rng = np.random.default_rng(seed)
    found: Layers = [[], []]
    for length in rng.integers(16, 90, examples):
        x = rng.standard_normal((length, NEURONS)) + kind.get("common", 0.5) * rng.standard_normal(
            (length, 1)
        )
        y = kind.get("like", 1.0) * x + 0.3 * rng.standard_normal(x.shape)
        for layer, series in enumerate((x, y)):
            if "sink" in kind:
                series[0] += kind["sink"] * rng.standard_normal(NEURONS)
            series += kind.get("mean", 0) * rng.standard_normal(NEURONS)
            if kind.get("constant"):
                series[:, rng.integers(NEURONS, size=3)] = 0.1
                series[:, 5 + layer] = 1234.567  # always
            found[layer].append(series.astype(np.float32))
    return found


def feed(
    sums: BetweenSums,
    layers: Layers,
    order: Sequence[int],
    size: int = 3,
    weight: str = "example",
    side: str = "left",
    pad: int = 0,
) -> BetweenSums:
    """Add the examples in an order, so many a batch, padded with what must not count."""
    for start in range(0, len(order), size):
        members = order[start : start + size]
        tokens = max(len(layers[0][b]) for b in members) + pad
        keep = torch.zeros(len(members), tokens, dtype=torch.bool)
        batch = [torch.full((len(members), tokens, NEURONS), torch.nan) for _ in layers]
        for row, b in enumerate(members):
            length = len(layers[0][b])
            place = slice(tokens - length, None) if side == "left" else slice(0, length)
            keep[row, place] = True
            for x, layer in zip(batch, layers, strict=True):
                x[row, place] = torch.from_numpy(layer[b])
        lengths = [float(len(layers[0][b])) if weight == "token" else 1.0 for b in members]
        w = torch.tensor(lengths, dtype=torch.float64)
        left, right = (batch_series(x, keep, w, sums.fisher) for x in batch)
        sums.update(left, right, w)
    return sums


def average(layers: Layers, scheme: str, **how: Any) -> Correlation:
    sums = BetweenSums(NEURONS, CPU, scheme == "fisher")
    return feed(sums, layers, range(len(layers[0])), **how).finish()


def expected(layers: Layers, scheme: str, weight: str = "example") -> np.ndarray:
    together = [np.concatenate(pair, axis=1) for pair in zip(*layers, strict=True)]
    return reference.topology([together], scheme, weight)[:NEURONS, NEURONS:]


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unlike": {"like": 0.0},
    "strongly correlated": {"common": 30.0},
    "mean 1000 times the deviation": {"mean": 1000},
    "attention sink": {"sink": 300},
    "constant neurons": {"constant": True},
    "constant neurons on a large mean": {"constant": True, "mean": 1000},
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("weight", ["example", "token"])
@pytest.mark.parametrize("scheme", ["mean", "fisher"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_scheme_is_its_definition_to_a_millionth(
    kind: str, scheme: str, weight: str, side: str
) -> None:
    layers = draw(1, **KINDS[kind])
    ours = average(layers, scheme, weight=weight, side=side, pad=3)
    np.testing.assert_allclose(
        ours.matrix.numpy(), expected(layers, scheme, weight), atol=1e-6, rtol=0
    )
    undefined = [5, NEURONS + 6] if "constant" in kind else []
    assert ours.undefined.nonzero().flatten().tolist() == undefined


def test_a_matrix_between_layers_is_not_symmetric() -> None:
    matrix = average(draw(2), "mean").matrix
    assert (matrix - matrix.T).abs().max() > 0.01
    assert (matrix.diagonal() - 1).abs().max() > 0.01


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
@settings(derandomize=True, database=None, deadline=None, max_examples=12)
@given(order=st.permutations(range(7)), cut=st.integers(0, 7), size=st.integers(1, 7))
def test_how_examples_are_dealt_out_does_not_show(
    scheme: str, order: list[int], cut: int, size: int
) -> None:
    layers = draw(3, constant=True)
    whole = average(layers, scheme)
    first, second = (
        feed(BetweenSums(NEURONS, CPU, scheme == "fisher"), layers, members, size)
        for members in (order[:cut], order[cut:])
    )
    first.merge(second.state())
    merged = first.finish()
    torch.testing.assert_close(merged.matrix, whole.matrix, atol=1e-6, rtol=0)
    assert torch.equal(merged.undefined, whole.undefined)


@pytest.mark.parametrize(("few", "portion"), [(0.0, 1 << 22), (1.0, 1 << 22), (1.0, 1)])
def test_steep_entries_are_exact_one_by_one_and_all_at_once(
    few: float, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between, "FEW", few)
    monkeypatch.setattr(between, "PORTION", portion)
    layers = draw(4, sink=3000)
    want = expected(layers, "fisher")
    assert (np.abs(want) > 0.99).any()
    np.testing.assert_allclose(average(layers, "fisher").matrix.numpy(), want, atol=1e-6, rtol=0)


def test_an_example_that_is_not_finite_is_told() -> None:
    x = torch.randn(2, 9, NEURONS, generator=torch.Generator().manual_seed(0))
    x[1, 4, 7] = torch.inf
    one: Tensor = torch.ones(2, dtype=torch.float64)
    for fisher in (False, True):
        series = batch_series(x, torch.ones(2, 9, dtype=torch.bool), one, fisher)
        assert series.finite.tolist() == [True, False]


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
def test_deviations_that_float32_cannot_hold_are_none(scheme: str) -> None:
    layers = draw(5)
    for series in layers[1]:
        series[:, 3] = 0
        series[::2, 3] = 1e-40
    ours = average(layers, scheme)
    assert ours.undefined.nonzero().flatten().tolist() == [NEURONS + 3]
    assert not ours.matrix[:, 3].any()


def test_layers_too_wide_for_float64_products_are_cut_into_strips_that_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    common = 2 * torch.randn(4, 20, 1, generator=generator)
    left, right = (common + torch.randn(4, 20, 520, generator=generator) for _ in range(2))
    keep, weight = torch.ones(4, 20, dtype=torch.bool), torch.ones(4, dtype=torch.float64)
    totals = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        sums = BetweenSums(520, CPU, fisher=True)
        sums.update(
            batch_series(left, keep, weight, True), batch_series(right, keep, weight, True), weight
        )
        totals.append(sums.total)
    torch.set_num_threads(1)
    assert torch.equal(*totals)
    together = [torch.cat([left, right], dim=2).numpy()]
    expected = reference.topology([list(*together)], "fisher")[:520, 520:]
    np.testing.assert_allclose(sums.finish().matrix.numpy(), expected, atol=1e-6, rtol=0)
