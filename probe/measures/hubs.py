"""Hubs: the neurons of largest strength, and those that they go with."""

import numpy as np
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.measures.defined import Matrix, Neurons, defined, defined_part
from probe.measures.entries import matrix_strengths
from probe.topology import Topology

# 50 of 896, as in the published studies of hubs.
HUB_SHARE = 0.056


def hubs_of(topology: Topology, settings: MeasuresConfig) -> list[tuple[int, float]]:
    """Return a topology's hubs with their strengths, the strongest first; none between layers."""
    if topology.kind == "cross":
        return []
    neurons = defined(topology.n_neurons, topology.undefined)
    part = defined_part(topology.matrix, topology.undefined)
    return strongest_neurons(part, neurons, n_hubs(len(neurons), settings))


def n_hubs(neurons: int, settings: MeasuresConfig) -> int:
    """Return the number of hubs among so many neurons, unless there are fewer."""
    return max(round(HUB_SHARE * neurons), 1) if settings.hubs is None else settings.hubs


def strongest_neurons(part: Matrix, neurons: Neurons, count: int) -> list[tuple[int, float]]:
    """Return the neurons of the largest strength Σ|r|, and it; `part` is of the defined ones."""
    strength = matrix_strengths(part)
    order = np.argsort(-strength, kind="stable")[:count]
    return [(int(neurons[place]), float(strength[place])) for place in order]


def partners(matrix: Matrix, neuron: int, count: int) -> list[tuple[int, float]]:
    """Return the neurons with the largest |r| with one, and r, dimensionless.

    Examples
    --------
    >>> partners(np.array([[1, -0.5, 0.25], [-0.5, 1, 0], [0.25, 0, 1]]), neuron=0, count=2)
    [(1, -0.5), (2, 0.25)]
    """
    r: NDArray[np.float64] = np.asarray(matrix[neuron], dtype=np.float64)
    order = np.argsort(-np.abs(r), kind="stable")
    return [(int(other), float(r[other])) for other in order if other != neuron and r[other]][
        :count
    ]
