"""Intervals, splits and p values are those of SciPy, of enumeration and of their definitions."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.statistics import bootstrap, paired_difference, permutation_p, split_by_group
from probe.api import UserError

GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=60).filter(
    lambda groups: len(set(groups)) >= 3
)
SEEDS = st.integers(0, 2**32 - 1)


@given(GROUPS, SEEDS)
def test_every_example_is_in_one_part_and_no_group_in_two(groups: list[str], seed: int) -> None:
    parts = split_by_group(groups, [0.6, 0.2, 0.2], seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    names = [{groups[number] for number in part} for part in parts]
    assert all(names)
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert not names[1] & names[2]


@given(st.integers(10, 300), SEEDS)
def test_single_examples_are_split_as_asked(count: int, seed: int) -> None:
    parts = split_by_group([str(n) for n in range(count)], [0.6, 0.2, 0.2], seed)
    np.testing.assert_allclose(
        [len(part) for part in parts], np.array([6, 2, 2]) * count / 10, atol=1
    )


def test_the_seed_decides_the_split() -> None:
    groups = [str(n // 2) for n in range(100)]
    same, again, other = (split_by_group(groups, [0.8, 0.2], n)[1].tolist() for n in (1, 1, 2))
    assert same == again != other


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(UserError, match="2 documents cannot be split into 3 parts"):
        split_by_group(["a", "a", "b"], [0.6, 0.2, 0.2], 0)


@pytest.mark.campaign
@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_the_interval_of_single_examples_is_scipys(seed: int) -> None:
    x, y = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 60).T
    groups = [str(n) for n in range(60)]
    found = bootstrap(lambda n: float(np.corrcoef(x[n], y[n])[0, 1]), groups, seed, 4000)
    wanted = stats.bootstrap(
        (x, y), lambda a, b, axis: stats.pearsonr(a, b, axis=axis).statistic, paired=True,
        vectorized=True, method="percentile", n_resamples=4000, rng=seed,
    )  # fmt: skip
    interval = wanted.confidence_interval
    # Monte Carlo error of a quantile at 2.5 %, from its density under a normal, four times over.
    error = 4 * np.sqrt(2 * 0.025 * 0.975 / 4000) / 0.0584 * wanted.standard_error
    np.testing.assert_allclose(found, interval, atol=error)


def test_groups_are_drawn_as_a_whole() -> None:
    values = np.array([1.0, 2.0, 10.0, 20.0, 30.0, -5.0])
    members = [[0, 1], [2, 3, 4], [5]]
    means = [
        values[[number for group in drawn for number in members[group]]].mean()
        for drawn in product(range(3), repeat=3)
    ]
    seen: list[float] = []

    def mean(numbers: NDArray[np.int64]) -> float:
        seen.append(float(values[numbers].mean()))
        return seen[-1]

    low, high = bootstrap(mean, ["a", "a", "b", "b", "b", "c"], 0, 5000, 0.8)
    assert {round(value, 9) for value in seen} == {round(float(value), 9) for value in means}
    np.testing.assert_allclose([low, high], np.quantile(means, [0.1, 0.9]), atol=1.5)
    np.testing.assert_allclose(np.mean(seen), np.mean(means), atol=0.3)


def test_draws_without_a_value_do_not_count() -> None:
    values = np.array([1.0, np.nan])
    low, high = bootstrap(lambda n: float(values[n].sum()), ["a", "b"], 0, 100)
    assert (low, high) == (2.0, 2.0)
    assert all(np.isnan(bootstrap(lambda _: float("nan"), ["a", "b"], 0, 10)))


def test_a_difference_is_of_the_same_draws() -> None:
    values = np.random.default_rng(0).normal(0, 100, 50)
    groups = [str(n // 2) for n in range(50)]
    found = paired_difference(
        lambda n: float(values[n].mean()) + 1, lambda n: float(values[n].mean()), groups, 3
    )
    np.testing.assert_allclose(found, (1, 1, 1))


@given(SEEDS, st.integers(5, 200))
@settings(deadline=None, max_examples=20)
def test_p_is_scipys(seed: int, permutations: int) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, 20))
    result = stats.permutation_test(
        (x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=permutations,
        alternative="greater", vectorized=True, rng=seed,
    )  # fmt: skip
    found = permutation_p(result.statistic, result.null_distribution.tolist())
    assert found == pytest.approx(result.pvalue)
