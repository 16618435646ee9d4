"""General linear models against nilearn and statsmodels; what is left out; algebra of contrasts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from nilearn.glm.contrasts import compute_contrast as nilearn_contrast
from nilearn.glm.contrasts import compute_fixed_effect_contrast, expression_to_contrast_vector
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm
from planted_scans import autoregressive, scan

from experiments.task_mapping.design import Design, Model
from experiments.task_mapping.glm import Fit, fit, fixed_effects

models = pytest.mark.parametrize("model", ["prompt_ols", "tokens_ols", "tokens_ar1"])


def _signals(design: Design, n_units: int = 60, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    noise = autoregressive(0.5, len(design.matrix), n_units, rng)
    return noise * rng.uniform(0.1, 10, n_units) + rng.normal(0, 5, n_units)


def test_least_squares_of_500_units_are_statsmodels() -> None:
    design = scan()
    signals = _signals(design, 500)
    found = fit(signals, design)
    for unit in range(500):
        expected = sm.OLS(signals[:, unit], design.matrix.to_numpy()).fit()
        assert abs(found.t[unit] - expected.tvalues[0]) < 1e-10
        assert abs(found.p[unit] - expected.pvalues[0]) < 1e-12
        assert abs(found.effect[unit] - expected.params[0]) < 1e-10
    assert found.dof == expected.df_resid


@models
@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_statistics_are_nilearns(model: Model, dtype: Any, error: float) -> None:
    design = scan(model)
    signals = _signals(design)
    noise = "ar1" if model == "tokens_ar1" else "ols"
    expected = nilearn_contrast(*run_glm(signals, design.matrix.to_numpy(), noise), [1, 0, 0, 0, 0])
    found = fit(signals.astype(dtype), design)
    np.testing.assert_allclose(found.t, expected.stat(), atol=error, rtol=0)
    np.testing.assert_allclose(found.z, expected.z_score(), atol=error, rtol=0)
    np.testing.assert_allclose(found.p / 2, np.minimum(expected.p_value(), 1 - expected.p_value()),
                               atol=error)  # fmt: skip
    assert found.dof == expected.dof


def test_contrasts_of_two_tasks_are_antisymmetric_and_squared_the_f_of_one_degree() -> None:
    events = pd.DataFrame(
        {"onset": [40, 120, 200, 280], "duration": 40, "trial_type": ["a", "b", "a", "b"]}
    )
    matrix = make_first_level_design_matrix(
        np.arange(360), events, hrf_model=None, drift_model="cosine", high_pass=1 / 160
    )
    np.testing.assert_array_equal(np.flatnonzero(matrix["a"]), [*range(40, 80), *range(200, 240)])
    assert matrix.shape[1] == 2 + int(2 * 360 / 160) + 1
    for model in ("tokens_ols", "tokens_ar1"):
        design = Design(matrix, model, np.arange(360) // 40)  # type: ignore[arg-type]
        signals = _signals(design)
        found = {
            words: fit(signals, design, expression_to_contrast_vector(words, matrix.columns))
            for words in ("a - b", "b - a", "a", "b")
        }
        np.testing.assert_allclose(found["a - b"].t, -found["b - a"].t, atol=1e-12)
        np.testing.assert_allclose(found["a - b"].z, -found["b - a"].z, atol=1e-9)
        difference = found["a"].effect - found["b"].effect
        np.testing.assert_allclose(found["a - b"].effect, difference, atol=1e-12)
        noise = "ar1" if model == "tokens_ar1" else "ols"
        one = expression_to_contrast_vector("a - b", matrix.columns)[None]
        of_f = nilearn_contrast(*run_glm(signals, matrix.to_numpy(), noise), one, stat_type="F")
        np.testing.assert_allclose(found["a - b"].t ** 2, of_f.stat(), rtol=1e-10)


def test_fixed_effects_are_nilearns() -> None:
    design = scan("tokens_ar1")
    scans = [_signals(design, seed=seed) for seed in range(3)]
    fits = [run_glm(signals, design.matrix.to_numpy(), "ar1") for signals in scans]
    expected = compute_fixed_effect_contrast(
        [labels for labels, _ in fits], [results for _, results in fits], [design.contrast] * 3, "t"
    )
    found = fixed_effects([fit(signals, design) for signals in scans])
    np.testing.assert_array_equal(found.effect, expected.effect)
    np.testing.assert_array_equal(found.variance, expected.variance)
    np.testing.assert_array_equal(found.z, expected.z_score())
    assert found.dof == expected.dof == 3 * design.dof


@models
def test_constant_and_non_finite_units_are_left_out(model: Model) -> None:
    design = scan(model)
    good = _signals(design, 8)
    bad = np.zeros((len(good), 6))
    bad[:, 1] = 3.0  # of which nilearn alone makes t = 10
    bad[:, 2] = 1e4 + 1e-4 * np.random.default_rng(0).standard_normal(len(good))
    bad[:, 3], bad[5, 3] = good[:, 0], np.nan
    bad[:, 4], bad[5, 4] = good[:, 0], np.inf
    bad[:, 5], bad[5, 5] = good[:, 0], -np.inf
    found, alone = fit(np.hstack([bad, good]), design), fit(good, design)
    assert found.left_out.tolist() == [True] * 6 + [False] * 8
    for name in ("effect", "variance", "t", "z", "p"):
        values = getattr(found, name)
        assert np.isnan(values[:6]).all()
        np.testing.assert_allclose(values[6:], getattr(alone, name), rtol=1e-9)
    nothing = fit(bad, design)
    assert nothing.left_out.all()
    assert nothing.dof == design.dof
    assert fixed_effects([found, alone_with_gaps(alone)]).left_out.sum() == 6


def alone_with_gaps(one: Fit) -> Fit:
    """Return a fit whose first six units are not left out."""
    names = ("effect", "variance", "t", "z", "p")
    return replace(one, **{n: np.concatenate([np.ones(6), getattr(one, n)]) for n in names})


@models
def test_units_may_come_in_any_order_and_unit(model: Model) -> None:
    design = scan(model)
    signals = _signals(design)
    rng = np.random.default_rng(1)
    order, scale = rng.permutation(60), rng.choice([-1, 1], 60) * rng.uniform(1e-3, 1e3, 60)
    found, moved = fit(signals, design), fit(signals[:, order], design)
    np.testing.assert_allclose(moved.t, found.t[order], rtol=1e-9)
    scaled = fit(signals * scale, design)
    np.testing.assert_allclose(scaled.t, found.t * np.sign(scale), rtol=1e-8)
    np.testing.assert_allclose(scaled.effect, found.effect * scale, rtol=1e-8)


def test_the_autocorrelation_that_is_removed_is_told() -> None:
    design = scan("tokens_ar1", n_blocks=51)
    noise = autoregressive(0.6, len(design.matrix), 50, np.random.default_rng(0))
    rho = fit(noise, design).rho
    assert rho is not None
    assert abs(rho.mean() - 0.6) < 0.03
    assert fit(noise, scan("tokens_ols", n_blocks=51)).rho is None
