"""Hubs in common follow the hypergeometric distribution where neurons are relabelled."""

import numpy as np
import pytest
import scipy.stats

from probe.compare.hubs import Relabelling


@pytest.mark.parametrize(
    ("neurons", "first", "second"), [(896, 50, 50), (60, 20, 7), (20, 20, 5), (12, 1, 1)]
)
def test_the_null_is_hypergeometric(neurons: int, first: int, second: int) -> None:
    drawn = Relabelling(4000, seed=1).shared(neurons, first, second)
    exact = scipy.stats.hypergeom(neurons, first, second)
    values = np.arange(min(first, second) + 1)
    observed = np.array([(drawn == value).mean() for value in values])
    # Five standard errors of a share over 4,000 draws.
    chance = exact.pmf(values)
    assert np.all(np.abs(observed - chance) <= 5 * np.sqrt(chance * (1 - chance) / 4000) + 1e-12)


def test_mean_quantile_and_p_are_those_of_the_null() -> None:
    first, second, neurons = range(10), range(6, 14), range(40)
    found = Relabelling(20_000, seed=0).overlap(first, second, neurons)
    assert found is not None
    exact = scipy.stats.hypergeom(40, 10, 8)
    assert (found.shared, found.jaccard, found.share) == (4, 4 / 14, 4 / 8)
    assert found.chance == pytest.approx(exact.mean() / 8, abs=0.005)
    assert found.chance_95 == exact.ppf(0.95) / 8
    assert found.p == pytest.approx(exact.sf(3), abs=0.007)


def test_p_counts_the_comparison_itself() -> None:
    found = Relabelling(99, seed=0).overlap(range(50), range(50), range(896))
    assert found is not None
    assert (found.share, found.jaccard) == (1, 1)
    assert found.p == 1 / 100
    nothing = Relabelling(99, seed=0).overlap([0], [1], range(30))
    assert nothing is not None
    assert (nothing.shared, nothing.p) == (0, 1)


def test_only_neurons_that_both_define_count() -> None:
    defined = [0, 1, 2, 3, 4, 5]
    found = Relabelling(500, seed=0).overlap([0, 1, 8], [1, 2, 9], defined)
    assert found is not None
    assert (found.shared, found.share, found.jaccard) == (1, 1 / 2, 1 / 3)
    assert found.chance == pytest.approx(2 * 2 / 6 / 2, abs=0.08)
    assert Relabelling(10, seed=0).overlap([8, 9], [1], defined) is None


def test_a_seed_gives_the_same_null_in_any_order() -> None:
    one, other = Relabelling(50, seed=3), Relabelling(50, seed=3)
    expected = one.shared(30, 5, 5)
    other.shared(30, 9, 9)
    np.testing.assert_array_equal(other.shared(30, 5, 5), expected)
    assert not np.array_equal(Relabelling(50, seed=4).shared(30, 5, 5), expected)
