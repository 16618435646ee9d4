"""Steps of FastICA are scikit-learn's; what has not converged is told by component."""

import builtins
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import fastica

from experiments.networks.matching import match
from experiments.networks.rotation import Contrast, Rotation, decorrelate, rotate, step
from experiments.networks.whitening import whiten
from probe.api import UserError

contrasts = pytest.mark.parametrize("contrast", ["logcosh", "cube"])


def _mixed(
    courses: str, k: int = 5, n: int = 3000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    sources = getattr(rng, courses)(size=(k, n))
    return sources, whiten(rng.normal(size=(k, k)) @ sources)


def _scikit_learn(
    whitened: NDArray[np.float64], contrast: Contrast, steps: int, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, unmixing, _, taken = fastica(
            whitened.T, whiten=False, fun=contrast, w_init=start, max_iter=steps, tol=1e-4,
            return_n_iter=True,
        )  # fmt: skip
    return unmixing, taken


@contrasts
@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("steps", [3, 200])
def test_rotations_are_scikit_learns(contrast: Contrast, device: str | None, steps: int) -> None:
    _, whitened = _mixed("laplace")
    start = np.random.default_rng(7).standard_normal((5, 5))
    expected, taken = _scikit_learn(whitened, contrast, steps, start)
    found = rotate(whitened, 7, contrast, max_iterations=steps, device=device)
    assert found.iterations == taken
    np.testing.assert_allclose(found.unmixing, expected, atol=1e-10)
    np.testing.assert_allclose((found.unmixing @ whitened).var(axis=1), 1, atol=1e-10)


@contrasts
def test_a_step_over_parts_is_scikit_learns(contrast: Contrast, monkeypatch: Any) -> None:
    monkeypatch.setattr("experiments.networks.rotation._OBSERVATIONS", 700)
    _, whitened = _mixed("laplace")
    start = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    expected, _ = _scikit_learn(whitened, contrast, 1, start)
    found = step(torch.from_numpy(whitened), torch.from_numpy(start), contrast)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_decorrelated_weights_are_orthonormal() -> None:
    weights = decorrelate(torch.from_numpy(np.random.default_rng(0).normal(size=(20, 20))))
    np.testing.assert_allclose(weights @ weights.T, np.eye(20), atol=1e-10)


@pytest.mark.parametrize("solver", ["fastica", "picard"])
def test_both_solvers_find_the_sources(solver: Any) -> None:
    sources, whitened = _mixed("laplace")
    found = rotate(whitened, 0, "logcosh", solver)
    assert np.abs(match(sources, found.unmixing @ whitened).r).min() > 0.99
    assert found.complaint() is None


def test_every_component_that_moves_is_told() -> None:
    _, whitened = _mixed("normal", k=12, n=1500)
    found = rotate(whitened, 0, "logcosh", max_iterations=2)
    before = found.unmixing
    after, _ = _scikit_learn(whitened, "logcosh", 1, before)
    moved = np.abs(np.abs((after * before).sum(axis=1)) - 1)
    np.testing.assert_allclose(found.moved, moved, atol=1e-10)
    assert found.unconverged.tolist() == np.flatnonzero(moved >= 1e-4).tolist() != []
    complaint = found.complaint()
    assert complaint is not None
    assert f"{len(found.unconverged)} of 12 components have not converged after 2 iter" in complaint


def test_a_complaint_names_the_components() -> None:
    rotation = Rotation(np.eye(3), 200, np.array([1e-9, 0.02, 1e-3]))
    assert rotation.complaint() == (
        "2 of 3 components have not converged after 200 iterations: 1 (2.0e-02), 2 (1.0e-03) "
        "still move by more than 1e-04"
    )


def test_data_that_is_not_white_is_refused() -> None:
    with pytest.raises(UserError, match="whitening failed"):
        rotate(np.random.default_rng(0).normal(size=(3, 50)), 0)


@pytest.mark.parametrize(
    ("solver", "package", "name"),
    [("fastica", "sklearn.decomposition", "scikit-learn"), ("picard", "picard", "python-picard")],
)
def test_a_solver_that_is_not_installed_is_told(
    solver: Any, package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual = builtins.__import__

    def missing(wanted: str, *rest: Any) -> Any:
        if wanted == package:
            raise ImportError(wanted)
        return actual(wanted, *rest)

    _, whitened = _mixed("laplace", n=100)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError) as told:
        rotate(whitened, 0, solver=solver)
    command = "pip install -c constraints.txt -e '.[networks]'"
    assert str(told.value) == f"{name} is not installed; {command} installs it"
