"""Inputs are what NumPy makes of the activations."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import experiments.graph_probe.inputs as inputs_module
from experiments.graph_probe.inputs import Graphs, Input, layer_inputs, plain_inputs
from experiments.graph_probe.texts import Readings, Texts
from probe.api import Document, Factor

NEURONS = 5


@pytest.fixture(scope="module")
def activations() -> list[NDArray[np.float64]]:
    generator = np.random.default_rng(0)
    return [
        (generator.normal(size=(length, NEURONS)) @ generator.normal(size=(NEURONS, NEURONS)))
        for length in (20, 31, 25)
    ]


@pytest.fixture(scope="module")
def found(activations: list[NDArray[np.float64]]) -> dict[tuple[str, float], Input]:
    tensors = [torch.from_numpy(one).float() for one in activations]
    readings = Readings(
        torch.stack([one[-1] for one in tensors]),
        torch.stack([one.mean(dim=0) for one in tensors]),
        torch.stack([one.std(dim=0, correction=0) for one in tensors]),
        [Factor.of(one).series for one in tensors],
    )
    return {(one.name, one.density): one for one in layer_inputs(readings, [1.0, 0.4])}


def test_topologies_are_upper_triangles_of_corrcoef(
    activations: list[NDArray[np.float64]], found: dict[tuple[str, float], Input]
) -> None:
    upper = np.triu_indices(NEURONS, 1)
    expected = [np.corrcoef(one, rowvar=False)[upper] for one in activations]
    rows = found["topology", 1.0].features.rows(torch.arange(3))
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_sparse_topologies_keep_what_reaches_the_percentile(
    activations: list[NDArray[np.float64]], found: dict[tuple[str, float], Input]
) -> None:
    sparse = found["topology", 0.4]
    assert sparse.graphs is not None
    values = torch.eye(NEURONS)
    dense = sparse.graphs.batch(torch.tensor([2, 0]), torch.device("cpu")).propagate(values)
    for number, graph in zip((2, 0), dense, strict=True):
        r = np.corrcoef(activations[number], rowvar=False)
        expected = np.where(np.abs(r) >= np.percentile(np.abs(r), 60), r, 0)
        np.testing.assert_allclose(graph, expected, atol=1e-6)
        [row] = sparse.features.rows(torch.tensor([number]))
        np.testing.assert_allclose(row, expected[np.triu_indices(NEURONS, 1)], atol=1e-6)


def test_covariances_are_in_units_of_usual_deviations(
    activations: list[NDArray[np.float64]], found: dict[tuple[str, float], Input]
) -> None:
    covariances = np.stack([np.cov(one, rowvar=False, bias=True) for one in activations])
    usual = np.sqrt(np.mean([np.diag(one) for one in covariances], axis=0))
    expected = (covariances / np.outer(usual, usual))[:, *np.triu_indices(NEURONS)]
    control = found["covariance", 1.0]
    np.testing.assert_allclose(control.features.rows(torch.arange(3)), expected, rtol=1e-4)
    assert not control.correlations
    assert found["topology", 1.0].correlations


def test_activations_are_last_mean_and_deviation(
    activations: list[NDArray[np.float64]], found: dict[tuple[str, float], Input]
) -> None:
    def rows(name: str) -> Tensor:
        return found[name, 1.0].features.rows(torch.arange(3))

    mean, deviation = ([f(one, axis=0) for one in activations] for f in (np.mean, np.std))
    np.testing.assert_allclose(rows("last_token"), [one[-1] for one in activations], rtol=1e-5)
    np.testing.assert_allclose(rows("mean_activation"), mean, atol=1e-5)
    np.testing.assert_allclose(
        rows("mean_and_deviation"), np.concatenate([mean, deviation], axis=1), atol=1e-5
    )


def test_large_triangles_are_formed_when_they_are_wanted(
    found: dict[tuple[str, float], Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = found["topology", 1.0]
    monkeypatch.setattr(inputs_module, "_KEPT", 0)
    assert kept.graphs is not None
    formed = inputs_module._graph_input("topology", kept.graphs)
    assert isinstance(formed.features, Graphs)
    wanted = torch.tensor([1, 2])
    torch.testing.assert_close(formed.features.rows(wanted), kept.features.rows(wanted))
    assert formed.features.width == kept.features.width == 10


def test_tokens_and_length_are_counted() -> None:
    tokens = [np.array([7, 7, 9, 3]), np.array([9, 9]), np.array([7, 4, 4, 4])]
    texts = Texts([Document(str(n), "", group="q" if n else None) for n in range(3)], tokens)
    length, bag = plain_inputs(texts)
    np.testing.assert_allclose(
        length.features.rows(torch.arange(3)), [[4, np.log(4)], [2, np.log(2)], [4, np.log(4)]],
        rtol=1e-6,
    )  # fmt: skip
    # 3 and 4 come in one text each, and tell of it alone.
    np.testing.assert_allclose(bag.features.rows(torch.arange(3)), [[0.5, 0.25], [0, 1], [0.25, 0]])
    assert texts.groups == ["0", "q", "q"]
