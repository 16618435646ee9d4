"""Permutations of prompts and of blocks, against fits of every arrangement by nilearn."""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.regression import ARModel, OLSModel
from planted_scans import autoregressive, blocks, scan

from experiments.task_mapping.design import Design, make_design
from experiments.task_mapping.glm import fit
from experiments.task_mapping.permutation import max_t


def _by_brute_force(signals: Any, design: Design, rho: Any) -> Any:
    """Return p of every unit from a fit of every arrangement, one unit at a time."""
    groups = design.exchangeable
    n, observed = groups.max() + 1, design.matrix["task"].to_numpy()
    n_on = len(np.unique(groups[observed == 1]))
    largest = []
    for chosen in combinations(range(n), n_on):
        matrix = design.matrix.assign(task=np.isin(groups, chosen).astype(float)).to_numpy()
        largest.append(max(_t(signals, matrix, rho)))
    own = np.array(_t(signals, design.matrix.to_numpy(), rho))
    return (np.array(largest)[:, None] >= own - 1e-9).mean(axis=0)


def _t(signals: Any, matrix: Any, rho: Any) -> list[float]:
    fits = [
        (ARModel(matrix, r) if r else OLSModel(matrix)).fit(signals[:, [unit]])
        for unit, r in enumerate(rho)
    ]
    return [abs(one.t(0).item()) for one in fits]


def test_all_arrangements_of_prompts_are_taken_where_they_are_few() -> None:
    on = blocks(5, 2)
    design = make_design(on, np.full(10, 3))
    signals = np.random.default_rng(0).standard_normal((10, 6))
    signals[:, 0] += 1000 * on
    found = max_t(signals, design, 300)
    assert found.exact
    assert found.arrangements == comb(10, 4)
    assert found.smallest == 1 / comb(10, 4) == found.p[0]
    np.testing.assert_allclose(found.p, _by_brute_force(signals, design, np.zeros(6)), atol=1e-12)


@pytest.mark.parametrize("model", ["tokens_ols", "tokens_ar1"])
def test_blocks_of_tokens_are_exchanged_as_a_whole(model: Any) -> None:
    design = scan(model, n_blocks=7, n_prompts=2, n_tokens=4)
    signals = autoregressive(0.6, 56, 8, np.random.default_rng(1))
    signals[:, 0] += 3 * design.matrix["task"]
    found = max_t(signals, design)
    assert found.exact
    assert found.arrangements == comb(7, 3)
    assert found.smallest == 1 / 35
    rho = np.zeros(8)
    if model == "tokens_ar1":
        others = Design(design.matrix.drop(columns="task"), model, design.exchangeable)
        rho = fit(signals, others, np.array([1.0, 0, 0, 0])).rho  # type: ignore[assignment]
        assert len(np.unique(rho)) > 3
    np.testing.assert_allclose(found.p, _by_brute_force(signals, design, rho), atol=1e-12)


def test_labels_and_their_opposites_are_the_same_evidence() -> None:
    # With as many blocks on as off, every |t| comes twice.
    design = scan("tokens_ols", n_blocks=6, n_prompts=2, n_tokens=4)
    signals = np.random.default_rng(0).standard_normal((48, 4))
    signals[:, 0] += 9 * design.matrix["task"]
    found = max_t(signals, design)
    assert found.arrangements == 20
    assert found.smallest == found.p[0] == 0.1


def test_drawn_arrangements_are_seeded_and_near_the_exact_p() -> None:
    on = blocks(5, 3)
    design = make_design(on, np.full(15, 2))
    signals = np.random.default_rng(0).standard_normal((15, 30))
    signals[:, 0] += 1.6 * on
    exact, drawn = max_t(signals, design, 10_000), max_t(signals, design, 2000, seed=3)
    assert exact.arrangements == comb(15, 6)
    assert not drawn.exact
    assert drawn.arrangements == 2001
    np.testing.assert_allclose(drawn.p, exact.p, atol=0.05)
    assert max_t(signals, design, 2000, seed=3).p.tolist() == drawn.p.tolist()
    assert max_t(signals, design, 2000, seed=4).p.tolist() != drawn.p.tolist()


def test_units_in_parts_and_units_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    design = scan("tokens_ar1")
    signals = autoregressive(0.4, 280, 30, np.random.default_rng(0))
    signals[:, 3], signals[7, 4] = 2.0, np.nan
    whole = max_t(signals, design)
    assert np.flatnonzero(np.isnan(whole.p)).tolist() == [3, 4]
    monkeypatch.setattr("experiments.task_mapping.permutation._UNITS", 7)
    np.testing.assert_array_equal(max_t(signals, design).p, whole.p)
    assert np.isnan(max_t(signals[:, 3:5], design).p).all()


@pytest.mark.campaign
def test_family_wise_error_holds() -> None:
    rng = np.random.default_rng(0)
    design = scan("prompt_ols")
    hits = [
        (max_t(rng.standard_t(3, (35, 40)), design, 199, seed).p <= 0.05).any()
        for seed in range(1000)
    ]
    assert abs(np.mean(hits) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_nuisance_stays_with_its_prompt() -> None:
    on = blocks(5, 2)
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 10)
    nuisance = pd.DataFrame({"length": np.repeat(lengths, lengths).astype(float)})
    design = make_design(on, lengths, nuisance=nuisance)
    signals = rng.standard_normal((10, 5)) + lengths[:, None]
    found = max_t(signals, design, 300)
    np.testing.assert_allclose(found.p, _by_brute_force(signals, design, np.zeros(5)), atol=1e-12)
