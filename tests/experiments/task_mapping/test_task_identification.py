"""Tasks are named by templates, as counted by brute force; scans without a task are rejected."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from experiments.task_mapping.identification import identify, open_set
from probe.api import UserError


def _maps(strength: float, n_tasks: int = 3, n_scans: int = 3, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    own = strength * rng.standard_normal((n_tasks, 1, 80))
    return own + rng.standard_normal((n_tasks, n_scans, 80)) + rng.normal(0, 9, (1, n_scans, 1))


def _by_brute_force(maps: Any) -> Any:
    n_tasks, n_scans = maps.shape[:2]
    scores = np.empty((n_tasks, n_scans, n_tasks))
    for task, scan, other in product(range(n_tasks), range(n_scans), range(n_tasks)):
        template = np.mean([maps[other, s] for s in range(n_scans) if s != scan], axis=0)
        scores[task, scan, other] = np.corrcoef(template, maps[task, scan])[0, 1]
    return scores


def _accuracy(maps: Any) -> float:
    named = _by_brute_force(maps).argmax(axis=2)
    return float((named == np.arange(len(maps))[:, None]).mean())


def test_scores_are_correlations_with_templates_of_other_scans() -> None:
    maps = _maps(0.4)
    found = identify(maps)
    np.testing.assert_allclose(found.scores, _by_brute_force(maps), atol=1e-12)
    assert found.accuracy == _accuracy(maps)
    assert found.chance == 1 / 3
    for task, named in product(range(3), range(3)):
        assert found.confusion[task, named] == (found.named[task] == named).sum()


def test_p_is_over_all_labellings_where_they_are_few() -> None:
    maps = _maps(0.3, seed=1)
    found = identify(maps)
    assert found.exact
    assert found.smallest == 1 / 36
    # Every one of the 6³ labellings, the first scans' included.
    reached = []
    for chosen in product(permutations(range(3)), repeat=3):
        labelled = np.stack([maps[list(order), s] for s, order in enumerate(chosen)], axis=1)
        reached.append(_accuracy(labelled) >= _accuracy(maps))
    assert 1 / 36 < found.p < 0.9
    assert found.p == pytest.approx(np.mean(reached))


def test_drawn_labellings_are_seeded_and_near_the_exact_p() -> None:
    maps = _maps(0.2, n_scans=4, seed=2)
    exact, drawn = identify(maps, 216), identify(maps, 215, seed=1)
    assert exact.exact
    assert not drawn.exact
    assert drawn.smallest == 1 / 216
    assert abs(drawn.p - exact.p) < 0.1
    assert identify(maps, 215, seed=1).p == drawn.p


def test_units_that_a_map_leaves_out_are_left_out() -> None:
    maps = _maps(0.4)
    gaps = np.concatenate([maps, np.ones((3, 3, 2))], axis=2)
    gaps[0, 0, 80], gaps[2, 1, 81] = np.nan, np.inf
    np.testing.assert_allclose(identify(gaps).scores, identify(maps).scores, atol=1e-12)


def test_null_scans_are_rejected_at_the_rate_by_other_null_scans() -> None:
    rejected = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = open_set(_maps(0.0, seed=seed), rng.standard_normal((19, 80)), 0.2)
        assert found.rate == 0.2
        rejected.append(found.rejected)
    # Scores of the null scans are exchangeable: of 18 others, the ⌈19 · 0.8⌉ = 16th is exceeded
    # by 1 − 16/19 of them.
    assert np.mean(rejected) == pytest.approx(16 / 19, abs=0.02)


def test_the_open_set_as_counted_by_brute_force() -> None:
    maps = _maps(0.5, n_tasks=4, n_scans=3, seed=3)
    null = np.random.default_rng(7).standard_normal((9, 80)) + 0.4 * maps[0, 0]
    found = open_set(maps, null, 0.25)
    scores = _by_brute_force(maps)
    rejected, kept, named = [], [], []
    for scan in range(3):
        templates = np.delete(maps, scan, axis=1).mean(axis=1)
        best = np.array([max(np.corrcoef(t, one)[0, 1] for t in templates) for one in null])
        np.testing.assert_allclose(found.null_scores[:, scan], best, atol=1e-12)
        for one in range(9):
            rejected.append(best[one] <= np.sort(np.delete(best, one))[7 - 1])  # ⌈9 · 0.75⌉ = 7
        for task in range(4):
            kept.append(scores[task, scan].max() > np.sort(best)[8 - 1])  # ⌈10 · 0.75⌉ = 8
            named.append(kept[-1] and scores[task, scan].argmax() == task)
    assert found.rejected == pytest.approx(np.mean(rejected))
    assert found.kept == pytest.approx(np.mean(kept))
    assert found.named == pytest.approx(np.mean(named))
    assert 0 < found.named <= found.kept < 1


def test_few_null_scans_allow_no_small_rate() -> None:
    maps = _maps(2.0)
    found = open_set(maps, np.random.default_rng(99).standard_normal((4, 80)), 0.05)
    assert found.rate == 0.25
    assert found.kept == found.named == 1


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.ones((1, 3, 9)), "1 task came; give at least 2 tasks"),
        (np.ones((3, 1, 9)), "1 scan came; give at least 2 scans"),
        (np.full((3, 3, 9), np.nan), "0 units of 9 varies in all scans"),
    ],
)
def test_too_few_to_name_is_told(maps: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        identify(maps)
    with pytest.raises(UserError, match=message):
        open_set(maps, np.ones((5, 9)))


def test_too_few_null_scans_are_told() -> None:
    with pytest.raises(UserError, match="threshold of other null scans, and 1 came"):
        open_set(_maps(1.0), np.ones((1, 80)))
