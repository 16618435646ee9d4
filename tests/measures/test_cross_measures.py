"""Between two layers every entry counts, and nothing that needs a graph is made up."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from probe.measures import Measures, cross_basic, edges, measure
from probe.measures.entries import strongest
from probe.plots import figures
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests.topologies import topology_of

MATRIX = np.random.default_rng(3).uniform(-1, 1, (6, 6)).astype(np.float32)
UNDEFINED = (1, 6 + 0, 6 + 4)
KEPT = np.delete(np.delete(MATRIX, 1, axis=0), [0, 4], axis=1).astype(np.float64)


def crossed(**changed: object) -> Topology:
    known = Reliability(900, 0.01, 0.8, [], {}, None)
    usual = {"name": "cross_layer_3_7", "layers": (3, 7), "kind": "cross", "reliability": known}
    return topology_of(MATRIX, **usual | {"undefined": UNDEFINED} | changed)


def test_the_numbers_are_those_of_all_defined_entries() -> None:
    found = measure(crossed())
    assert found.neurons == 9
    assert found.mean_r == pytest.approx(KEPT.mean())
    assert found.mean_abs_r == pytest.approx(np.abs(KEPT).mean())
    assert found.mean_r2 == pytest.approx((KEPT**2).mean())
    assert found.share_above == {
        str(t): pytest.approx((np.abs(KEPT) > t).mean()) for t in (0.1, 0.3, 0.5)
    }
    assert found.chance_abs_r == pytest.approx(np.sqrt(2 / np.pi * 0.01))
    assert found.debiased_r2 == pytest.approx(((KEPT**2).mean() - 0.01) / 0.99)
    assert found.split_half == 0.8
    np.testing.assert_array_equal(np.sort(edges(crossed())), np.sort(KEPT.ravel()))


def test_the_matrix_is_left_as_it_was() -> None:
    before = MATRIX.copy()
    cross_basic(MATRIX)
    measure(crossed(undefined=()))
    np.testing.assert_array_equal(MATRIX, before)


def test_what_needs_a_graph_is_not_there() -> None:
    found = measure(crossed())
    assert (found.graphs, found.hubs, found.communities, found.skipped) == ([], [], [], {})
    assert (found.spectrum, found.strength_mean, found.strength_gini) == (None, None, None)
    assert set(found.numbers()) == {
        "mean_abs_r", "chance_abs_r", "mean_r", "mean_r2", "debiased_r2", "split_half",
        "share_above_0.1", "share_above_0.3", "share_above_0.5", "neurons",
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 5, 20, 99])
def test_the_strongest_entries_are_named_by_row_and_column(most: int) -> None:
    found = strongest(MATRIX, UNDEFINED, most)
    assert [abs(r) for _, _, r in found] == sorted(np.abs(KEPT).ravel(), reverse=True)[:most]
    assert all(MATRIX[row, column] == np.float32(r) for row, column, r in found)
    assert not {row for row, _, _ in found} & {1}
    assert not {column for _, column, _ in found} & {0, 4}


def test_no_defined_neuron_leaves_no_entry() -> None:
    found = measure(crossed(undefined=tuple(range(12))))
    assert (found.neurons, found.mean_abs_r, found.strongest) == (0, 0.0, [])


def test_a_record_comes_back() -> None:
    found = measure(crossed())
    assert Measures.from_record(json.loads(json.dumps(asdict(found)))) == found


def test_the_spectrum_of_very_many_neurons_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = (MATRIX + MATRIX.T) / 4 + np.eye(6) / 2
    np.fill_diagonal(matrix, 1)
    whole = topology_of(matrix, name="full", layers=(0, 1), kind="full")
    assert measure(whole).spectrum is not None
    monkeypatch.setattr("probe.measures.summary.MOST", 5)
    found = measure(whole)
    assert found.spectrum is None
    assert found.skipped["spectrum"] == "6 neurons are more than 5"
    assert "leading_share" not in found.numbers()
    assert "participation_ratio" in found.numbers()
    assert "spectrum" not in figures(whole, found)
