"""Hubs are the strongest neurons, and their partners those with the largest |r|."""

import numpy as np
import pytest

from probe.config import MeasuresConfig
from probe.measures import hubs_of, measure, partners
from tests.topologies import random_correlations, topology_of


@pytest.mark.parametrize("hubs", [None, 3])
def test_hubs_are_those_of_the_measures(hubs: int | None) -> None:
    matrix = np.array(random_correlations(40, seed=0))
    matrix[5], matrix[:, 5] = 0, 0
    topology = topology_of(matrix, undefined=(5,))
    settings = MeasuresConfig(density=0.3, rewired=0, hubs=hubs)
    found = hubs_of(topology, settings)
    assert found == measure(topology, settings).hubs
    strength = np.abs(topology.matrix).sum(axis=1) - np.abs(np.diag(topology.matrix))
    assert [neuron for neuron, _ in found] == np.argsort(-strength)[: hubs or 2].tolist()
    assert hubs_of(topology_of(matrix[:8], kind="cross"), settings) == []


def test_partners_have_the_largest_r_of_either_sign_and_are_defined() -> None:
    matrix = np.array(random_correlations(9, seed=1))
    matrix[4], matrix[:, 4] = 0, 0
    found = partners(matrix, 2, 9)
    others = [n for n in range(9) if n not in (2, 4)]
    expected = sorted(others, key=lambda other: -abs(matrix[2, other]))
    assert found == [(other, matrix[2, other]) for other in expected]
    assert partners(matrix, 2, 3) == found[:3]
