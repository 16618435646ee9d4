"""The dual ridge regression is scikit-learn's, in one block or in many."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import experiments.graph_probe.ridge as ridge_module
from experiments.graph_probe.inputs import Vectors
from experiments.graph_probe.ridge import PENALTIES, inner_products, moments, ridge

TEXTS = 50


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 20, 80]), st.integers(1, 3))
def test_it_is_the_best_of_scikit_learns(seed: int, width: int, outputs: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(3, 1, (TEXTS, width)) * np.exp(generator.normal(0, 1, width))
    x = x.astype(np.float32).astype(np.float64)
    y = x @ generator.normal(size=(width, outputs)) + generator.normal(size=(TEXTS, outputs))
    order = generator.permutation(TEXTS)
    train, validation = order[:30], order[30:40]
    fits = []
    for scaled in (False, True):
        scaler = StandardScaler(with_std=scaled).fit(x[train])
        z = scaler.transform(x)
        unit = np.mean(np.sum(z[train] ** 2, axis=1))
        for penalty in PENALTIES:
            model = Ridge(alpha=penalty * unit, solver="svd").fit(z[train], y[train])
            predicted = model.predict(z).reshape(TEXTS, outputs)
            fits.append((np.mean((predicted - y)[validation] ** 2), predicted))
    error, predicted = min(fits, key=lambda fit: fit[0])
    found = ridge(
        Vectors(torch.from_numpy(x).float()), torch.from_numpy(y),
        torch.from_numpy(train), torch.from_numpy(validation),
    )  # fmt: skip
    assert found.validation_error == pytest.approx(error, rel=1e-4)
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-3 * np.abs(y).max())


@pytest.mark.parametrize("scaled", [False, True])
def test_blocks_do_not_show(scaled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    features = Vectors(torch.randn(TEXTS, 7, generator=torch.Generator().manual_seed(0)))
    train = torch.arange(0, TEXTS, 2)
    z = (
        StandardScaler(with_std=scaled)
        .fit(features.matrix[train].double())
        .transform(features.matrix.double())
    )
    for block in (7, 100, 10**6):
        monkeypatch.setattr(ridge_module, "_BLOCK", block)
        np.testing.assert_allclose(inner_products(features, train, scaled), z @ z.T, atol=1e-9)


def test_what_is_constant_is_not_divided_by_rounding() -> None:
    features = Vectors(torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 6.0]]))
    mean, deviation = moments(features, torch.arange(3))
    np.testing.assert_allclose(mean, [0.1, 3.0], rtol=1e-6)
    np.testing.assert_allclose(deviation, [1.0, np.std([1, 2, 6])])
