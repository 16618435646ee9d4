"""The network predicts the same, and learns the same, from a factor and from the matrix."""

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.gcn import Gcn
from probe.series.factor import Factor
from probe.series.graphs import Dense, Graph, Sparse
from tests.series.drawn_series import activations, topology


class AsItIs:
    """A graph that is not replaced by a quicker one."""

    def __init__(self, graph: Graph) -> None:
        self.propagate = graph.propagate


def learned(network: Gcn, graph: Graph) -> tuple[Tensor, dict[str, Tensor]]:
    """Return predictions and the gradients of a loss."""
    network.zero_grad()
    predicted = network(graph)
    (predicted - 0.3).square().sum().backward()
    gradients = {name: one.grad for name, one in network.named_parameters() if one.grad is not None}
    assert len(gradients) == len(list(network.parameters()))
    return predicted.detach(), {name: grad.clone() for name, grad in gradients.items()}


@pytest.mark.parametrize("constant", [0, 5])
@pytest.mark.parametrize("lengths", [(64, 64, 64), (64, 20, 41)])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_factor_teaches_what_the_matrix_teaches(
    layers: int, lengths: tuple[int, ...], constant: int
) -> None:
    torch.manual_seed(0)
    network = Gcn(48, 32, layers, outputs=2)
    series = [activations(k, t, 48, constant) for k, t in enumerate(lengths)]
    matrices = torch.from_numpy(np.stack([topology(one) for one in series])).float()
    factor = Factor.stack([Factor.of(torch.from_numpy(one)) for one in series])
    expected, gradients = learned(network, Dense(matrices))
    assert expected.shape == (3, 2)
    assert all(gradient.any() for gradient in gradients.values())
    for graph in (AsItIs(factor), factor):
        predicted, found = learned(network, graph)
        torch.testing.assert_close(predicted, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found, gradients, rtol=1e-5, atol=1e-5)


def test_the_network_is_its_formula() -> None:
    torch.manual_seed(1)
    network = Gcn(10, 4, 2, outputs=3)
    series = activations(0, 30, 10, constant=1)
    matrix = topology(series)
    weights = {name: one.detach().double().numpy() for name, one in network.named_parameters()}
    values = weights["embedding"]
    for layer in range(2):
        values = np.maximum(matrix @ values @ weights[f"mixing.{layer}.weight"].T, 0)
    pooled = np.concatenate([values.mean(axis=0), values.max(axis=0)])
    hidden = np.maximum(weights["head.0.weight"] @ pooled + weights["head.0.bias"], 0)
    expected = weights["head.2.weight"] @ hidden + weights["head.2.bias"]
    with torch.no_grad():
        found = network(Factor.stack([Factor.of(torch.from_numpy(series))]))
    np.testing.assert_allclose(found, expected[None], atol=1e-5)


def test_sparse_graphs_are_read_too() -> None:
    torch.manual_seed(2)
    network = Gcn(16, 8, 2, outputs=1)
    factors = [Factor.of(torch.from_numpy(activations(k, 40, 16))) for k in range(3)]
    whole = Sparse.stack([Sparse.of(factor, 1.0) for factor in factors])
    torch.testing.assert_close(network(whole), network(Factor.stack(factors)), rtol=1e-5, atol=1e-5)
    tenth = Sparse.stack([Sparse.of(factor, 0.1) for factor in factors])
    assert not torch.allclose(network(tenth), network(whole), atol=1e-3)


def test_the_network_learns_how_strongly_neurons_are_coupled() -> None:
    torch.manual_seed(3)
    generator = np.random.default_rng(3)
    coupling = generator.uniform(0, 1, 64)
    common = generator.standard_normal((64, 100, 1))
    noise = generator.standard_normal((64, 100, 12))
    mixed = coupling[:, None, None] * common + (1 - coupling)[:, None, None] * noise
    graphs = Factor.stack([Factor.of(torch.from_numpy(one).float()) for one in mixed])
    target = torch.from_numpy(coupling).float().unsqueeze(1)
    network = Gcn(12, 8, 1, outputs=1)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (network(graphs) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.05 * target.var()
