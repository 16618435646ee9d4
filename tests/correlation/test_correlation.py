"""Every averaging scheme against the float64 definition, however the examples are dealt out."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.correlation import Correlation, Matmul, Sums, make_sums, product, standardise
from probe.extraction import token_norms
from tests import reference

SCHEMES = ("mean", "fisher", "pooled")
CPU = torch.device("cpu")
Layers = list[list[np.ndarray]]


@pytest.fixture(params=["float64 product", "float32 product"], autouse=True)
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices take the product of large ones, too."""
    if request.param == "float32 product":
        monkeypatch.setattr(product, "_SMALL", 0)


def activations(
    seed: int, examples: int = 9, neurons: int = 24, layers: int = 2, **kind: Any
) -> Layers:
    """Draw correlated series; `mean`, `sink`, `constant`, `dtype`, `common` make them hard."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(16, 120, examples)
    dtype = kind.get("dtype", torch.float32)

    def series(length: int) -> np.ndarray:
        x = rng.standard_normal((length, neurons))
        x += kind.get("common", 0.5) * rng.standard_normal((length, 1))
        if "sink" in kind:
            x[0] += kind["sink"] * rng.standard_normal(neurons)
        x += kind.get("mean", 0) * rng.standard_normal(neurons)
        if kind.get("constant"):
            x[:, rng.integers(neurons, size=3)] = 0.1
            x[:, 5] = 1234.567
        return torch.tensor(x, dtype=torch.float32).to(dtype).float().numpy()

    return [[series(length) for length in lengths] for _ in range(layers)]


def feed(
    sums: Sums,
    layers: Layers,
    order: Sequence[int],
    size: int = 4,
    weight: str = "example",
    side: str = "left",
    pad: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Sums:
    """Add the examples in an order, so many a batch, padded with what must not count."""
    for start in range(0, len(order), size):
        members = order[start : start + size]
        tokens = max(len(layers[0][b]) for b in members) + pad
        w = [float(len(layers[0][b])) if weight == "token" else 1.0 for b in members]
        carry: dict[str, torch.Tensor] = {}
        for number, layer in enumerate(layers):
            x = torch.full((len(members), tokens, layer[0].shape[1]), torch.nan)
            keep = torch.zeros(len(members), tokens, dtype=torch.bool)
            for row, b in enumerate(members):
                span = slice(tokens - len(layer[b]), None) if side == "left" else len(layer[b])
                place = span if isinstance(span, slice) else slice(0, span)
                x[row, place] = torch.from_numpy(layer[b])
                keep[row, place] = True
            sums.update(x.to(dtype), keep, torch.tensor(w, dtype=torch.float64), number, carry)
    return sums


def average(layers: Layers, scheme: str, std: bool = False, **how: Any) -> Correlation:
    """Average everything at once."""
    sums = make_sums(scheme, std, layers[0][0].shape[1], len(layers), CPU)
    return feed(sums, layers, range(len(layers[0])), **how).finish()


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strongly correlated": {"common": 30.0},
    "mean 1000 times the deviation": {"mean": 1000},
    "attention sink": {"sink": 300},
    "attention sink on a large mean": {"sink": 300, "mean": 1000},
    "constant neurons": {"constant": True},
    "constant neurons on a large mean": {"constant": True, "mean": 1000},
    "bfloat16": {"dtype": torch.bfloat16},
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("weight", ["example", "token"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_scheme_is_its_definition_to_a_millionth(
    kind: str, scheme: str, weight: str, side: str
) -> None:
    layers = activations(seed=1, **KINDS[kind])
    dtype = KINDS[kind].get("dtype", torch.float32)
    ours = average(layers, scheme, weight=weight, side=side, pad=3, dtype=dtype)
    expected = reference.topology(layers, scheme, weight)
    np.testing.assert_allclose(ours.matrix.numpy(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_a_correlation_matrix(kind: str, scheme: str) -> None:
    ours = average(activations(seed=2, **KINDS[kind]), scheme)
    matrix, undefined = ours.matrix, ours.undefined
    assert torch.equal(matrix, matrix.T)
    assert matrix.abs().max() <= 1
    assert torch.equal(matrix.diagonal(), (~undefined).double())
    assert not matrix[undefined].any()
    assert undefined.tolist() == [neuron == 5 and "constant" in kind for neuron in range(24)]


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_standard_error_is_that_of_the_examples_mean(scheme: str, layers: int) -> None:
    drawn = activations(seed=3, layers=layers)
    ours = average(drawn, scheme, std=True)
    assert ours.standard_error is not None
    expected = reference.standard_error(drawn, scheme)
    np.testing.assert_allclose(ours.standard_error.numpy(), expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        ours.matrix.numpy(), reference.topology(drawn, scheme), atol=1e-6, rtol=0
    )


def test_the_standard_error_of_token_weights_is_the_linearised_one() -> None:
    [examples] = drawn = activations(seed=4, layers=1)
    ours = average(drawn, "mean", std=True, weight="token")
    r = np.stack([reference.example_correlation(series) for series in examples])
    w = np.array([len(series) for series in examples])[:, None, None]
    mean = (w * r).sum(0) / w.sum()
    expected = np.sqrt(len(r) / (len(r) - 1) * (w**2 * (r - mean) ** 2).sum(0)) / w.sum()
    assert ours.standard_error is not None
    np.testing.assert_allclose(ours.standard_error.numpy(), expected, atol=1e-6, rtol=0)


def test_the_standard_error_leaves_out_examples_where_a_neuron_is_constant() -> None:
    [examples] = drawn = activations(seed=5, layers=1)
    examples[2][:, 7] = 0.1
    ours = average(drawn, "mean", std=True)
    others = [series for b, series in enumerate(examples) if b != 2]
    expected = reference.standard_error([others], "mean")
    assert ours.standard_error is not None
    np.testing.assert_allclose(ours.standard_error[7].numpy(), expected[7], atol=1e-6, rtol=0)


def test_one_example_has_no_standard_error() -> None:
    error = average(activations(seed=6, examples=1), "mean", std=True).standard_error
    assert error is not None
    off_diagonal = ~torch.eye(24, dtype=torch.bool)
    assert error[off_diagonal].isnan().all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scheme=st.sampled_from(SCHEMES),
    weight=st.sampled_from(["example", "token"]),
    side=st.sampled_from(["left", "right"]),
    std=st.booleans(),
    kind=st.sampled_from(sorted(KINDS)),
    ranks=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    order=st.permutations(range(9)),
)
def test_any_split_order_padding_and_number_of_ranks_gives_the_same_matrix(
    seed: int,
    scheme: str,
    weight: str,
    side: str,
    std: bool,
    kind: str,
    ranks: int,
    sizes: list[int],
    order: list[int],
) -> None:
    layers = activations(seed, **KINDS[kind])
    std = std and scheme != "pooled"
    whole = average(layers, scheme, std, weight=weight)

    def empty() -> Sums:
        return make_sums(scheme, std, 24, 2, CPU)

    total = empty()
    for rank in range(ranks):
        share = order[rank::ranks]
        part = feed(empty(), layers, share, sizes[rank], weight, side, pad=sizes[rank])
        total.merge(part.state())
    split = total.finish()
    np.testing.assert_allclose(split.matrix, whole.matrix, atol=1e-6, rtol=0)
    assert torch.equal(split.undefined, whole.undefined)
    if std:
        assert split.standard_error is not None
        assert whole.standard_error is not None
        np.testing.assert_allclose(split.standard_error, whole.standard_error, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_batches_dealt_to_ranks_give_the_same_sums_to_1e_12(scheme: str) -> None:
    layers = activations(seed=7)
    batches = [[0, 1], [2, 3, 4], [5], [6, 7, 8]]
    results = []
    for ranks in (1, 2, 3, 5):  # with 5 ranks one has no example
        total = make_sums(scheme, False, 24, 2, CPU)
        for rank in range(ranks):
            own = make_sums(scheme, False, 24, 2, CPU)
            for batch in batches[rank::ranks]:
                feed(own, layers, batch, size=len(batch))
            total.merge(own.state())
        results.append(total.finish().matrix.numpy())
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-12, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    value=st.floats(-1e6, 1e6, width=32),
    tokens=st.integers(2, 40),
    change=st.booleans(),
)
def test_a_neuron_is_constant_exactly_where_its_maximum_is_its_minimum(
    value: float, tokens: int, change: bool
) -> None:
    x = torch.full((1, tokens, 1), value)
    if change:
        x[0, tokens // 2] = torch.nextafter(x[0, 0], torch.tensor(2e6))
    series, defined, finite = standardise(x, torch.ones(1, tokens, dtype=torch.bool))
    assert finite
    smallest = torch.finfo(torch.float32).tiny  # what is less is no deviation in float32
    assert bool(defined) == bool(x.max() - x.min() > smallest)
    assert torch.isfinite(series).all()


def test_a_constant_of_double_precision_is_constant() -> None:
    x = torch.randn(2, 30, 6, dtype=torch.float64)
    x[..., 4] = 0.1  # not a number of float32
    series, defined, _ = standardise(x, torch.ones(2, 30, dtype=torch.bool))
    assert defined.tolist() == [[neuron != 4 for neuron in range(6)]] * 2
    assert not series[..., 4].any()
    found = (series[0].T @ series[0]).double().numpy()[:4, :4]
    np.testing.assert_allclose(found, np.corrcoef(x[0, :, :4].T.numpy()), atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_an_example_with_a_non_finite_activation_is_told(scheme: str, bad: float) -> None:
    x = torch.randn(3, 20, 4)
    keep = torch.ones(3, 20, dtype=torch.bool)
    keep[0, 5:] = False
    x[0, 7, 1] = torch.nan  # padding: does not count
    x[2, 11, 3] = bad
    sums = make_sums(scheme, False, 4, 1, CPU)
    finite = sums.update(x, keep, torch.ones(3, dtype=torch.float64))
    assert finite.tolist() == [True, True, False]


def test_activations_are_not_changed() -> None:
    x = torch.randn(2, 30, 5)
    before = x.clone()
    for scheme in SCHEMES:
        keep = torch.ones(2, 30, dtype=torch.bool)
        make_sums(scheme, False, 5, 1, CPU).update(x, keep, torch.ones(2, dtype=torch.float64))
    assert torch.equal(x, before)


def test_large_examples_are_standardised_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    x, keep = torch.randn(5, 30, 7), torch.rand(5, 30) > 0.2
    whole = standardise(x, keep)
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["probe.correlation.standardise"], "_PIECE", 2 * 30 * 7)
    for ours, expected in zip(standardise(x, keep), whole, strict=True):
        assert torch.equal(ours, expected)


def test_steep_correlations_are_redone_whether_they_are_few_or_many() -> None:
    for common in (30.0, 1.0):
        layers = activations(seed=8, layers=1, common=common)
        for series in layers[0]:
            series[:, 1] = series[:, 0] * 2 + 1e-3 * series[:, 2]
        ours = average(layers, "fisher").matrix.numpy()
        expected = reference.topology(layers, "fisher")
        z, z_expected = np.arctanh(np.clip([ours, expected], -1 + 1e-7, 1 - 1e-7))
        np.testing.assert_allclose(z, z_expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scheme", ["mean", "pooled"])
@pytest.mark.parametrize("matmul", ["fp32", "tf32", "bf16x3"])
def test_a_gpu_is_asked_for_nothing_while_a_batch_goes_through(scheme: str, matmul: Matmul) -> None:
    # On the meta device there are no numbers: to look at one, or to mix devices, is an error.
    meta = torch.device("meta")
    sums = make_sums(scheme, False, 24, 2, meta, matmul)
    keep = torch.ones(3, 20, dtype=torch.bool, device=meta)
    for layer in range(2):
        x = torch.empty(3, 20, 24, dtype=torch.bfloat16, device=meta)
        finite = sums.update(x, keep, torch.ones(3, dtype=torch.float64), layer)
        assert finite.device == meta
    ratios = token_norms.over_median(token_norms.token_norms(x), keep)
    assert token_norms.without_outliers(ratios, keep, 10)[0].device == meta


def test_the_number_of_threads_does_not_show() -> None:
    # More neurons than take float64 products, more tokens than one thread adds up in order.
    x = torch.randn(2, 700, 600, generator=torch.Generator().manual_seed(0))
    keep = torch.ones(2, 700, dtype=torch.bool)
    results: dict[str, list[torch.Tensor]] = {scheme: [] for scheme in SCHEMES}
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for scheme in SCHEMES:
                sums = make_sums(scheme, False, 600, 1, CPU)
                sums.update(x, keep, torch.ones(2, dtype=torch.float64))
                results[scheme].append(sums.finish().matrix)
    finally:
        torch.set_num_threads(before)
    for first, *others in results.values():
        for other in others:
            torch.testing.assert_close(other, first, atol=1e-12, rtol=0)


def to_tf32(x: torch.Tensor) -> torch.Tensor:
    """Round float32 numbers to 11 bits, as a GPU does before a tf32 product."""
    return ((x.view(torch.int32) + (1 << 12)) & ~0x1FFF).view(torch.float32)


def test_the_error_of_every_product_is_that_of_its_digits() -> None:
    series = standardise(*drawn_batch(tokens=256)).series
    exact = series.double().mT @ series.double()
    multiplied = {
        "fp32": product.multiply(series, series),
        "bf16x3": product.multiply(series, series, "bf16x3"),
        "tf32": to_tf32(series).mT @ to_tf32(series),
    }
    error = {name: float((r - exact).abs().max()) for name, r in multiplied.items()}
    assert error["fp32"] < 2e-6
    assert 2e-6 < error["bf16x3"] < 1e-5
    assert 1e-5 < error["tf32"] < 5e-4


def test_two_products_of_halves_have_the_symmetric_part_of_three() -> None:
    series = standardise(*drawn_batch(tokens=64)).series.flatten(0, 1)
    two = product.gram_of_halves(series)
    three = product.multiply(series, series, "bf16x3")
    torch.testing.assert_close((two + two.T) / 2, three, atol=1e-5, rtol=0)


def drawn_batch(tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, tokens, 600, generator=generator)
    x += 2 * torch.randn(2, tokens, 1, generator=generator)
    return x, torch.ones(2, tokens, dtype=torch.bool)
