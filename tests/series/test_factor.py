"""A factor is the correlation matrix that it stands for, in every product."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from probe.errors import UserError
from probe.series.factor import Factor
from probe.series.graphs import Dense, Graph, quickest
from tests.series.drawn_series import Series, activations, topology


@st.composite
def drawn(draw: st.DrawFn) -> Series:
    n_neurons = draw(st.integers(1, 12))
    constant = draw(st.integers(0, n_neurons))
    return activations(draw(st.integers(0, 99)), draw(st.integers(3, 40)), n_neurons, constant)


@given(series=drawn(), width=st.integers(1, 4))
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_a_factor_multiplies_as_the_correlations_do(series: Series, width: int) -> None:
    factor, expected = Factor.of(torch.from_numpy(series)), topology(series)
    np.testing.assert_allclose(factor.dense(), expected, atol=1e-6)
    values = np.random.default_rng(0).standard_normal((series.shape[1], width)).astype(np.float32)
    found = factor.propagate(torch.from_numpy(values))
    np.testing.assert_allclose(found, expected @ values, atol=2e-5)


def test_a_factor_of_ranks_is_spearmans_correlation() -> None:
    series = activations(0, 30, 6)
    series[:, 2] = series[:, 2].round()  # ties
    found = Factor.of(torch.from_numpy(series), "spearman").dense()
    np.testing.assert_allclose(found, stats.spearmanr(series).statistic, atol=1e-6)
    with pytest.raises(UserError, match="correlation='spear' is not one of pearson, spearman; did"):
        Factor.of(torch.from_numpy(series), "spear")


def test_the_diagonal_is_one_or_of_an_undefined_neuron_zero() -> None:
    factor = Factor.of(torch.from_numpy(activations(0, 30, 9, constant=2)))
    assert factor.defined.sum() == 7
    assert torch.equal(factor.dense().diagonal(), factor.defined.float())
    assert not factor.dense()[~factor.defined].any()
    assert not factor.propagate(torch.randn(9, 3))[~factor.defined].any()


@given(texts=st.lists(st.tuples(st.integers(3, 30), st.integers(0, 6)), min_size=1, max_size=4))
@settings(derandomize=True, database=None, deadline=None, max_examples=30)
def test_examples_are_padded_together_without_a_trace(texts: list[tuple[int, int]]) -> None:
    series = [activations(seed, t, 6, constant) for seed, (t, constant) in enumerate(texts)]
    stacked = Factor.stack([Factor.of(torch.from_numpy(one)) for one in series])
    assert stacked.series.shape == (len(texts), max(t for t, _ in texts), 6)
    matrices = np.stack([topology(one) for one in series])
    np.testing.assert_allclose(stacked.dense(), matrices, atol=1e-6)
    generator = torch.Generator().manual_seed(0)
    own, shared = (torch.randn(*n, 6, 2, generator=generator) for n in ((len(texts),), ()))
    for values in (own, shared):
        np.testing.assert_allclose(stacked.propagate(values), matrices @ values.numpy(), atol=2e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_go_through_the_product_as_through_the_matrix(shared: bool) -> None:
    series = [activations(seed, t, 8, constant=seed) for seed, t in enumerate((20, 11, 30))]
    factor = Factor.stack([Factor.of(torch.from_numpy(one)) for one in series])
    matrices = torch.from_numpy(np.stack([topology(one) for one in series]))
    start = torch.randn(8, 3) if shared else torch.randn(3, 8, 3)
    outward = torch.randn(3, 8, 3)

    def gradient(values: Tensor, product: Tensor) -> Tensor:
        (product * outward).sum().backward()
        assert values.grad is not None
        return values.grad.double()

    ours = start.clone().requires_grad_()
    exact = start.double().requires_grad_()
    torch.testing.assert_close(
        gradient(ours, factor.propagate(ours)),
        gradient(exact, matrices @ exact),
        rtol=1e-5,
        atol=1e-5,
    )


def operations(graph: Graph, width: int, products: int) -> int:
    """Count the operations of some products, those of forming a matrix included."""
    counter = FlopCounterMode(display=False)
    with counter:
        if isinstance(graph, Dense):
            factor = graph.matrix
            graph = Dense(factor.mT @ factor)
        n = (graph.series if isinstance(graph, Factor) else graph.matrix).shape[-1]
        for _ in range(products):
            graph.propagate(torch.empty(n, width))
    return counter.get_total_flops()


@pytest.mark.parametrize("n_neurons", [24, 96, 128, 203, 206, 400])
@pytest.mark.parametrize("n_tokens", [10, 60, 512])
@pytest.mark.parametrize(("width", "products"), [(32, 4), (8, 2), (64, 8)])
def test_what_takes_fewer_operations_is_chosen(
    n_neurons: int, n_tokens: int, width: int, products: int
) -> None:
    series = torch.empty(2, n_tokens, n_neurons)
    by_factor = operations(Factor(series), width, products)
    by_matrix = operations(Dense(series), width, products)
    chosen = quickest(Factor(series), width, products)
    assert isinstance(chosen, Dense) == (by_matrix < by_factor)


def test_what_is_chosen_is_the_same_graph() -> None:
    factor = Factor.of(torch.from_numpy(activations(0, 60, 10, constant=1)))
    chosen = quickest(factor, 32, 4)
    assert isinstance(chosen, Dense)
    assert torch.equal(chosen.matrix, factor.dense())
    assert quickest(chosen, 32, 4) is chosen


def test_factors_move_between_devices() -> None:
    assert Factor(torch.zeros(3, 2)).to(torch.device("meta")).series.device.type == "meta"
