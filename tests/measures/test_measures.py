"""The summary of a topology: its parts agree, undefined neurons are out, numbers are flat."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.errors import UserError
from probe.measures import Measures, Spectrum, basic, measure, strengths
from probe.topology import Topology
from probe.topology.reliability import Null, Reliability
from tests.topologies import random_correlations, topology_of

ROOT = Path(__file__).resolve().parents[2]


def make(n: int = 30, seed: int = 1, undefined: tuple[int, ...] = ()) -> Topology:
    matrix: NDArray[np.float64] = np.array(random_correlations(n, seed, series=12))
    for neuron in undefined:
        matrix[neuron], matrix[:, neuron] = 0, 0
    return topology_of(matrix, undefined=undefined)


def known(noise: float = 0.01, null: Null | None = None) -> Reliability:
    return Reliability(
        tokens=100, noise=noise, split_half=0.8, halves=[], layer_agreement={}, null=null
    )


def test_the_numbers_of_the_entries_and_the_spectrum_are_in_the_summary() -> None:
    topology = make()
    found = measure(topology)
    entries = basic(topology.matrix)
    assert {name: found.numbers()[name] for name in entries} == entries
    assert found.spectrum == Spectrum.of(topology.matrix)
    assert found.numbers()["effective_rank"] == found.spectrum.effective_rank
    share = found.spectrum.eigenvalues[0] / 30
    assert found.numbers()["leading_share"] == pytest.approx(share)


def test_one_density_has_plain_names_and_several_have_theirs() -> None:
    single = measure(make(), MeasuresConfig(density=0.2)).numbers()
    double = measure(make(), MeasuresConfig(density=[0.2, 0.05])).numbers()
    for name, value in measure(make(), MeasuresConfig(density=0.2)).graphs[0].numbers().items():
        assert single[name] == double[f"{name}_at_0.2"] == value
        assert name not in double
    assert double["edges_at_0.2"] == 87
    assert double["edges_at_0.05"] == 22
    assert measure(make(), MeasuresConfig(density=[0.2])).numbers() == single
    assert measure(make(), MeasuresConfig(density=1)).graphs[0].edges == 435


def test_communities_are_those_of_the_first_density() -> None:
    first = measure(make(), MeasuresConfig(density=[0.3, 0.05])).communities
    assert first == measure(make(), MeasuresConfig(density=0.3)).communities
    assert first != measure(make(), MeasuresConfig(density=0.05)).communities
    sizes = np.bincount(first)
    assert sizes.tolist() == sorted(sizes, reverse=True)


def test_numbers_hold_only_what_is_there() -> None:
    numbers = measure(make(), MeasuresConfig(rewired=0)).numbers()
    assert {"small_world", "split_half", "chance_abs_r", "null_mean_abs_r"}.isdisjoint(numbers)
    assert all(type(value) is float for value in numbers.values())


def test_noise_stands_beside_the_correlations() -> None:
    null = Null(shifts=2, mean_abs_r=0.07, mean_r2=0.01, quantiles={}, counts=[])
    topology = topology_of(make().matrix, reliability=known(0.04, null))
    found = measure(topology)
    assert found.chance_abs_r == pytest.approx(np.sqrt(2 / np.pi) * 0.2)
    assert found.debiased_r2 == pytest.approx((found.mean_r2 - 0.04) / 0.96)
    assert (found.split_half, found.null_mean_abs_r) == (0.8, 0.07)
    for name in ("chance_abs_r", "debiased_r2", "split_half", "null_mean_abs_r"):
        assert found.numbers()[name] == getattr(found, name)
    without = measure(topology_of(make().matrix, reliability=known()))
    assert without.null_mean_abs_r is None


def test_two_tokens_leave_nothing_beside_the_noise() -> None:
    assert measure(topology_of(make().matrix, reliability=known(1.0))).debiased_r2 is None


def test_undefined_neurons_change_nothing() -> None:
    topology = make(undefined=(0, 5, 29))
    keep = [neuron for neuron in range(30) if neuron not in topology.undefined]
    one = measure(topology)
    other = measure(topology_of(topology.matrix[np.ix_(keep, keep)]))
    assert one.numbers() == other.numbers()
    assert one.neurons == 27
    assert one.hubs == [(keep[neuron], strength) for neuron, strength in other.hubs]
    assert [one.communities[neuron] for neuron in keep] == other.communities
    assert [one.communities[neuron] for neuron in topology.undefined] == [-1] * 3


def test_undefined_neurons_are_left_out_even_where_their_rows_are_not_zero() -> None:
    """A neuron's list, not the values, says that it is undefined."""
    matrix = np.full((3, 3), 0.9)
    np.fill_diagonal(matrix, 1)
    matrix[0, 1] = matrix[1, 0] = 0.2
    found = measure(topology_of(matrix, undefined=(2,)), MeasuresConfig(hubs=3))
    assert found.mean_abs_r == pytest.approx(0.2)
    assert found.hubs == [(0, pytest.approx(0.2)), (1, pytest.approx(0.2))]
    assert found.spectrum.eigenvalues == pytest.approx([1.2, 0.8])


def test_the_sign_of_a_neuron_matters_to_mean_r_only() -> None:
    topology = make(8, seed=7)
    flip = np.diag([1, -1, 1, -1, -1, 1, 1, -1])
    flipped, same = measure(topology_of(flip @ topology.matrix @ flip)), measure(topology)
    assert flipped.mean_r != pytest.approx(same.mean_r)
    assert flipped.communities == same.communities
    for name, value in same.numbers().items():
        if name != "mean_r":
            assert flipped.numbers()[name] == pytest.approx(value, abs=1e-9), name


def test_the_rich_club_is_that_of_as_many_hubs() -> None:
    five, ten = (measure(make(40), MeasuresConfig(hubs=hubs)) for hubs in (5, 10))
    assert (len(five.hubs), len(ten.hubs)) == (5, 10)
    assert five.hubs == ten.hubs[:5]
    strength = strengths(make(40))
    assert dict(ten.hubs) == pytest.approx({n: strength[n] for n in np.argsort(-strength)[:10]})
    assert five.graphs[0].rich_club_degree > ten.graphs[0].rich_club_degree


@pytest.mark.filterwarnings("error")
def test_neurons_that_never_varied_measure_nothing() -> None:
    found = measure(topology_of(np.zeros((4, 4)), undefined=(0, 1, 2, 3)))
    assert (found.neurons, found.hubs, found.communities) == (0, [], [-1] * 4)
    assert set(found.numbers().values()) == {0}


@pytest.mark.filterwarnings("error")
def test_one_neuron_has_no_pairs() -> None:
    found = measure(topology_of(np.ones((1, 1))))
    assert (found.hubs, found.communities) == ([(0, 0.0)], [0])
    numbers = {name: value for name, value in found.numbers().items() if value}
    assert numbers == {
        "participation_ratio": 1, "leading_share": 1, "effective_rank": 1, "neurons": 1,
        "components": 1, "largest_share": 1,
    }  # fmt: skip


def test_all_of_it_is_plain_json() -> None:
    topology = topology_of(make(undefined=(3,)).matrix, undefined=(3,), reliability=known())
    found = measure(topology, MeasuresConfig(density=[0.1, 0.5]))
    kept = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert kept["graphs"][1]["density"] == 0.5
    assert kept["graphs"][0]["rule"] == "pairs"
    assert kept["spectrum"]["eigenvalues"] == found.spectrum.eigenvalues
    assert set(kept) == set(Measures.__dataclass_fields__)


def test_what_is_skipped_names_its_density(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.measures.graph_measures.EDGES", 50)
    found = measure(make(), MeasuresConfig(density=[0.2, 0.1]))
    assert found.communities == []
    reason = "87 edges are more than 50"
    assert found.skipped == {"communities_at_0.2": reason, "modularity_at_0.2": reason}
    assert "modularity_at_0.2" not in found.numbers()
    assert "modularity_at_0.1" in found.numbers()
    assert set(measure(make(), MeasuresConfig(density=0.2)).skipped) == {
        "communities", "modularity",
    }  # fmt: skip


def test_a_density_that_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"above 0 and up to 1, not 1\.5"):
        measure(make(), MeasuresConfig(density=1.5))


@pytest.mark.processes
def test_importing_measures_loads_neither_scipy_nor_networkx() -> None:
    program = (
        "import sys, probe.api;"
        "print(sorted({'scipy', 'networkx', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["[]"]


def test_measures_are_rebuilt_from_their_record() -> None:
    found = measure(make(), MeasuresConfig(density=[0.1, 0.3], rewired=1))
    again = Measures.from_record(json.loads(json.dumps(asdict(found))))
    assert again == found
    assert again.numbers() == found.numbers()


def test_a_bare_matrix_is_told() -> None:
    with pytest.raises(UserError, match=r"a value of type ndarray was given; api\.load_topology"):
        measure(np.eye(3))  # type: ignore[arg-type]
