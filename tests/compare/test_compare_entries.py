"""Entries are compared as NumPy and SciPy compare them, pair by pair."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.compare import entries as module
from probe.compare.entries import differences, pearson, spearman, upper_entries
from probe.topology import Topology
from tests.topologies import random_correlations, topology_of


def make(n: int, seed: int, undefined: tuple[int, ...] = ()) -> Topology:
    matrix = np.array(random_correlations(n, seed))
    matrix[list(undefined)] = 0
    matrix[:, list(undefined)] = 0
    return topology_of(matrix, undefined=undefined)


def both_defined(a: Topology, b: Topology) -> tuple[Any, Any, list[tuple[int, int]]]:
    """Walk over all pairs of neurons; return the entries of both topologies, and the pairs."""
    lost = {*a.undefined, *b.undefined}
    n = a.n_neurons
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if not {i, j} & lost]
    x, y = (np.array([float(t.matrix[pair]) for pair in pairs]) for t in (a, b))
    return x, y, pairs


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_correlations_are_those_of_numpy_and_scipy(data: st.DataObject) -> None:
    n = data.draw(st.integers(8, 12))
    lost = st.lists(st.integers(0, n - 1), max_size=2, unique=True).map(tuple)
    items = [make(n, seed, data.draw(lost)) for seed in range(data.draw(st.integers(2, 4)))]
    entries, defined = upper_entries(items)
    chunk = data.draw(st.sampled_from([1, 7, 1 << 18]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        by_value, by_rank = pearson(entries, defined), spearman(entries, defined)
    for a, one in enumerate(items):
        for b, other in enumerate(items):
            x, y, _ = both_defined(one, other)
            expected = np.corrcoef(x, y)[0, 1]
            assert by_value[a, b] == pytest.approx(expected, abs=1e-9)
            expected = scipy.stats.spearmanr(x, y).statistic
            assert by_rank[a, b] == pytest.approx(expected, abs=1e-9)


def test_entries_close_to_each_other_lose_no_digits() -> None:
    rng = np.random.default_rng(3)
    entries = (0.9 + 1e-4 * rng.standard_normal((3, 500))).astype(np.float32)
    found = pearson(entries, np.ones(entries.shape, dtype=bool))
    np.testing.assert_allclose(found, np.corrcoef(entries.astype(np.float64)), atol=1e-9)


def test_a_constant_correlates_with_nothing() -> None:
    entries = np.array([[0.1] * 4, [0.2, 0.5, 0.1, 0.7], [0.0] * 4], dtype=np.float32)
    found = pearson(entries, np.ones(entries.shape, dtype=bool))
    assert np.isnan(found[[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]).all()
    assert found[1, 1] == 1


def test_what_is_constant_where_both_are_defined_correlates_with_nothing() -> None:
    rng = np.random.default_rng(0)
    for constant in np.linspace(-0.9, 0.9, 20):  # rounding leaves now more, now less than nothing
        entries = rng.standard_normal((2, 90)).astype(np.float32)
        entries[0, :70] = constant
        defined = np.ones(entries.shape, dtype=bool)
        defined[1, 70:] = False
        assert np.isnan(pearson(entries, defined)[0, 1])


def test_neurons_that_are_never_defined_together_give_nothing() -> None:
    one, other = make(4, 0, (0, 1, 2)), make(4, 1, (1, 2, 3))
    entries, defined = upper_entries([one, other])
    assert np.isnan(pearson(entries, defined)).all()
    assert differences(entries, defined, 4, 10) == (None, [])


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 12), seed=st.integers(0, 99), most=st.integers(1, 12), lost=st.booleans())
def test_the_largest_differences_are_found_with_their_neurons(
    n: int, seed: int, most: int, lost: bool
) -> None:
    undefined = (1,) if lost and n > 2 else ()
    one, other = make(n, seed), make(n, seed + 100, undefined)
    rms, largest = differences(*upper_entries([one, other]), n, most)
    x, y, pairs = both_defined(one, other)
    assert rms == pytest.approx(np.sqrt(((x - y) ** 2).mean()), rel=1e-12)
    assert len(largest) == min(most, len(pairs))
    sizes = [abs(a - b) for _, _, a, b in largest]
    assert sizes == pytest.approx(sorted(abs(x - y), reverse=True)[:most], rel=1e-12)
    for *neurons, a, b in largest:
        place = tuple(neurons)
        assert place in pairs
        assert (a, b) == (float(one.matrix[place]), float(other.matrix[place]))


def test_equal_matrices_do_not_differ_at_all() -> None:
    rms, largest = differences(*upper_entries([make(9, 1), make(9, 1)]), 9, 3)
    assert rms == 0
    assert [a - b for _, _, a, b in largest] == [0, 0, 0]
