"""Streamed normal equations are nilearn's fits, for chunks of any size."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_scans import autoregressive, scan

from experiments.task_mapping.design import Design, Model
from experiments.task_mapping.glm import fit
from experiments.task_mapping.streaming import NormalEquations, fit_stream

models = pytest.mark.parametrize("model", ["prompt_ols", "tokens_ols", "tokens_ar1"])


def _signals(design: Design, n_units: int = 200) -> Any:
    rng = np.random.default_rng(0)
    rho = rng.uniform(-0.5, 0.95, n_units)
    noise = [autoregressive(r, len(design.matrix), 1, rng) for r in rho]
    signals = np.hstack(noise) * rng.uniform(0.1, 10, n_units)
    signals[:, :20] += 2 * design.matrix[["task"]].to_numpy()
    return signals + rng.normal(0, 50, n_units)


@models
def test_a_stream_in_float64_is_nilearns(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.task_mapping.streaming._BLOCK", 500)
    monkeypatch.setattr("experiments.task_mapping.streaming._SOLVED", 7)
    design = scan(model, n_blocks=15)
    signals = _signals(design)
    expected = fit(signals, design)
    found = fit_stream(np.array_split(signals, 9), design, 200)
    for name in ("effect", "variance", "t", "z", "p"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), atol=1e-8, rtol=1e-8
        )
    np.testing.assert_allclose(found.t, expected.t, atol=1e-8, rtol=0)
    assert found.dof == expected.dof
    if model == "tokens_ar1":
        np.testing.assert_allclose(found.rho, expected.rho, atol=1e-12)


@models
def test_a_stream_in_float32_differs_by_rounding(model: Model) -> None:
    design = scan(model, n_blocks=15)
    signals = _signals(design).astype(np.float32)
    expected = fit(signals, design)
    found = fit_stream(np.array_split(signals, 9), design, 200, torch.float32)
    same = np.ones(200, bool) if found.rho is None else found.rho == expected.rho
    assert same.mean() > 0.99
    np.testing.assert_allclose(found.t[same], expected.t[same], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("rho", "error"), [(0.0, 1e-5), (0.5, 1e-5), (0.9, 1e-4), (0.99, 2e-3)])
def test_errors_of_float32_are_those_stated(rho: float, error: float) -> None:
    design = scan("tokens_ar1", n_blocks=51)
    noise = autoregressive(rho, len(design.matrix), 1000, np.random.default_rng(0))
    signals = (noise + np.linspace(-5, 5, 1000)).astype(np.float32)
    exact = fit_stream(np.array_split(signals, 8), design, 1000)
    found = fit_stream(np.array_split(signals, 8), design, 1000, torch.float32)
    same = found.rho == exact.rho
    assert same.mean() >= 0.997
    np.testing.assert_allclose(found.t[same], exact.t[same], atol=error, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    ends=st.sets(st.integers(1, 279)),
    model=st.sampled_from(["prompt_ols", "tokens_ols", "tokens_ar1"]),
)
def test_chunks_may_be_of_any_size(ends: set[int], model: Any) -> None:
    design = scan(model)
    signals = _signals(design, 20)
    whole = fit_stream([signals], design, 20)
    cuts = sorted(end for end in ends if end < len(signals))
    found = fit_stream(np.split(signals, cuts), design, 20)
    np.testing.assert_allclose(found.t, whole.t, atol=1e-8, rtol=0)
    np.testing.assert_allclose(found.effect, whole.effect, atol=1e-8, rtol=0)


@models
def test_constant_and_non_finite_units_are_left_out_of_a_stream(model: Model) -> None:
    design = scan(model)
    signals = _signals(design, 30)
    signals[:, :3] = 0.0, 3.0, 1e4 / 3
    signals[4, 3], signals[5, 4] = np.nan, np.inf
    for dtype in (torch.float64, torch.float32):
        found = fit_stream(np.array_split(signals, 3), design, 30, dtype)
        assert found.left_out.tolist() == [True] * 5 + [False] * 25
    expected = fit(signals, design)
    np.testing.assert_allclose(fit_stream([signals], design, 30).t, expected.t, atol=1e-8, rtol=0)
    assert fit_stream([signals[:, :5]], design, 5).left_out.all()


@models
def test_units_that_the_design_explains_entirely_are_certain(model: Model) -> None:
    design = scan(model)
    signals = _signals(design, 3)
    signals[:, 1] = 3 - 2 * design.matrix["task"]
    found = fit_stream(np.array_split(signals, 4), design, 3)
    assert found.effect[1] == pytest.approx(-2)
    assert found.p[1] < 1e-100
    assert -40 < found.z[1] < -20
    np.testing.assert_allclose(found.z, fit(signals, design).z, rtol=1e-6)


def test_units_far_from_zero_lose_no_digits() -> None:
    design = scan("tokens_ar1")
    signals = _signals(design, 40)
    near = fit_stream([signals], design, 40)
    far = fit_stream([signals + 1e4], design, 40)
    np.testing.assert_allclose(far.t, near.t, atol=1e-6)


def test_what_does_not_fit_the_design_is_refused() -> None:
    design = scan()
    signals = _signals(design, 3)
    equations = NormalEquations(design, 3)
    equations.add(signals[:0])
    equations.add(signals[:-1])
    with pytest.raises(AssertionError, match="279 of 280"):
        equations.fit()
    with pytest.raises(AssertionError, match="more than the 280"):
        equations.add(signals[:2])
    drift = Design(design.matrix.drop(columns="constant"), "tokens_ols", design.exchangeable)
    with pytest.raises(AssertionError, match="needs a constant"):
        NormalEquations(drift, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@models
def test_a_stream_on_a_gpu_is_nilearns(model: Model) -> None:
    design = scan(model, n_blocks=15)
    signals = _signals(design)
    found = fit_stream(np.array_split(signals, 9), design, 200, device="cuda")
    np.testing.assert_allclose(found.t, fit(signals, design).t, atol=1e-8, rtol=0)
