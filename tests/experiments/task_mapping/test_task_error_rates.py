"""Error rates and power on scans with known noise: what each model promises, and where it fails."""

import numpy as np
import pytest
from planted_scans import (
    autoregressive,
    false_share,
    fitted,
    planted,
    scan,
    with_prompt_offsets,
)

from experiments.task_mapping.agreement import overlap, top_share
from experiments.task_mapping.design import Model
from experiments.task_mapping.glm import fit
from experiments.task_mapping.identification import identify
from experiments.task_mapping.inference import active, bonferroni_threshold, fdr_threshold

N = 600
# Seeds and units of the short run, and of the long one.
sizes = pytest.mark.parametrize(
    ("n_seeds", "n_units"), [(3, 2000), pytest.param(10, 20_000, marks=pytest.mark.campaign)]
)


@pytest.mark.parametrize("model", ["tokens_ols", "tokens_ar1"])
def test_white_noise_keeps_its_promises(model: Model) -> None:
    n_units, false, power, strict = 1000, [], [], []
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal((N, n_units))
        signals, d = planted(noise, 0.2, 0.4, 0.6)
        z = fitted(signals, model).z
        found = active(z, fdr_threshold(z))
        false.append(false_share(found, d))
        power.append([found[d == one].mean() for one in (0.2, 0.4, 0.6)])
        strict.append(false_share(active(z, bonferroni_threshold(n_units)), d))
    assert np.mean(false) <= 0.05 + 2 * np.std(false) / np.sqrt(20)
    assert (np.mean(power, axis=0) >= [0.3, 0.9, 0.99]).all()
    assert np.mean(strict) < 0.01


def _false(kind: str, model: Model, n_seeds: int, n_units: int) -> float:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(n_seeds):
        if kind == "autoregressive":
            noise = autoregressive(0.6, N, n_units, rng)
        else:
            noise = with_prompt_offsets(N, n_units, rng)
        signals, d = planted(noise, 0.2, 0.4, 0.6)
        z = fitted(signals, model).z
        shares.append(false_share(active(z, fdr_threshold(z)), d))
    return float(np.mean(shares))


@sizes
def test_least_squares_fail_on_autoregressive_noise_and_ar1_holds(
    n_seeds: int, n_units: int
) -> None:
    assert _false("autoregressive", "tokens_ols", n_seeds, n_units) > 0.5
    assert _false("autoregressive", "tokens_ar1", n_seeds, n_units) < 0.12


@sizes
def test_token_models_fail_on_offsets_of_prompts_and_prompt_means_hold(
    n_seeds: int, n_units: int
) -> None:
    assert _false("offsets", "tokens_ar1", n_seeds, n_units) > 0.3
    assert _false("offsets", "prompt_ols", n_seeds, n_units) < 0.07


def test_networks_of_noise_overlap_by_chance() -> None:
    rng = np.random.default_rng(0)
    masks = [top_share(fitted(rng.standard_normal((N, 4000)), "tokens_ols").z) for _ in range(4)]
    found = [overlap(masks[i], masks[j], 4000) for i in range(4) for j in range(i)]
    assert 0.09 < np.mean([one.dice for one in found]) < 0.12
    assert abs(np.mean([one.excess for one in found]) - 1) < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_tasks_that_share_half_their_units_have_a_dice_of_a_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for first in (0, 50):
        signals, _ = planted(rng.standard_normal((N, 1000)), 0.6, 0.6)
        masks.append(top_share(np.roll(fitted(signals, "tokens_ols").z, first)))
    found = overlap(*masks, 1000)
    assert abs(found.dice - 0.5) <= 0.02
    assert found.p < 1e-20


@pytest.mark.parametrize("d", [0.0, 0.6])
def test_tasks_are_named_by_chance_from_noise_and_always_from_signal(d: float) -> None:
    rng = np.random.default_rng(0)
    design = scan("prompt_ols")
    maps = np.empty((5, 40 if d == 0 else 4, 200))
    for task, number in np.ndindex(*maps.shape[:2]):
        signals = rng.standard_normal((35, 200))
        # d deviations of single tokens, of which 8 are averaged.
        active = slice(20 * task, 20 * task + 40)
        signals[:, active] += d * np.sqrt(8) * design.matrix[["task"]].to_numpy()
        maps[task, number] = fit(signals, design).z
    found = identify(maps, 199)
    if d:
        assert found.accuracy == 1
        assert found.p == found.smallest
    else:
        assert abs(found.accuracy - 0.2) < 3 * np.sqrt(0.2 * 0.8 / 200)
        assert found.p > 0.01
