"""The strongest edges of an example, by the paper's rule, and products along them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from probe.errors import UserError
from probe.series.factor import Factor
from probe.series.graphs import Sparse, quickest
from tests.series.drawn_series import activations


def by_the_paper(matrix: NDArray[np.float32], density: float) -> NDArray[np.float32]:
    """Keep what reaches the percentile of all n² entries, with ones on the diagonal."""
    size = np.abs(matrix)
    kept = np.where(size >= np.percentile(size, 100 - 100 * density), matrix, 0)
    np.fill_diagonal(kept, matrix.diagonal())
    return kept


@pytest.mark.parametrize("constant", [0, 3])
@pytest.mark.parametrize("density", [1.0, 0.5, 0.1])
def test_edges_are_those_that_reach_the_percentile(density: float, constant: int) -> None:
    factor = Factor.of(torch.from_numpy(activations(1, 50, 20, constant)))
    sparse = Sparse.of(factor, density)
    expected = by_the_paper(factor.dense().numpy(), density)
    np.testing.assert_array_equal(sparse.matrix.to_dense(), expected)
    assert sparse.matrix.values().count_nonzero() == len(sparse.matrix.values())


@pytest.mark.parametrize("shared", [True, False])
def test_values_go_along_the_edges_of_their_own_example(shared: bool) -> None:
    factors = [Factor.of(torch.from_numpy(activations(k, 30 + k, 12, k))) for k in range(3)]
    sparse = Sparse.stack([Sparse.of(factor, 0.2) for factor in factors])
    matrices = np.stack([by_the_paper(factor.dense().numpy(), 0.2) for factor in factors])
    values = torch.randn(12, 4) if shared else torch.randn(3, 12, 4)
    ours, dense = values.clone().requires_grad_(), values.clone().requires_grad_()
    outward = torch.randn(3, 12, 4)
    for product in (sparse.propagate(ours), torch.from_numpy(matrices) @ dense):
        (product * outward).sum().backward()
        np.testing.assert_allclose(product.detach(), matrices @ values.numpy(), atol=1e-5)
    torch.testing.assert_close(ours.grad, dense.grad, rtol=1e-5, atol=1e-5)
    assert quickest(sparse, 4, 2) is sparse


def test_a_density_that_is_none_is_refused() -> None:
    factor = Factor.of(torch.from_numpy(activations(1, 50, 5)))
    with pytest.raises(UserError, match=r"^a density must be above 0 and up to 1, not 0$"):
        Sparse.of(factor, 0)
    with pytest.raises(UserError, match=r"^no density rule 'papers'; did you mean 'paper'"):
        Sparse.of(factor, 0.1, "papers")
