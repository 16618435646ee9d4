"""Numbers that sum up a topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.topology import Topology

Vector = NDArray[np.float64]
THRESHOLDS = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class Measures:
    """Summary of one topology; undefined neurons are left out.

    Attributes
    ----------
    neurons : int
        Number of neurons that are defined.
    mean_r, mean_abs_r : float
        Mean of r and of |r| over pairs of different neurons, dimensionless. The sign of a neuron
        is arbitrary, so |r| is the one to report.
    share_above : dict of str to float
        Share of the pairs with |r| above 0.1, 0.3 and 0.5.
    strength_mean : float
        Mean strength. A neuron's strength is the sum of |r| with all the others.
    strength_gini : float
        Gini coefficient of the strengths: 0 where all are the same, towards 1 where few have all.
    participation_ratio : float
        Effective dimension `n²/‖R‖²_F = (Σλ)²/Σλ²`, from 1 (all one) to n (all independent).
    hubs : list of (int, float)
        The strongest neurons, with their strengths.
    """

    neurons: int
    mean_r: float
    mean_abs_r: float
    share_above: dict[str, float]
    strength_mean: float
    strength_gini: float
    participation_ratio: float
    hubs: list[tuple[int, float]]

    def numbers(self) -> dict[str, float]:
        """Return the single numbers, by name."""
        shares = {f"share_above_{name}": value for name, value in self.share_above.items()}
        return {
            "mean_abs_r": self.mean_abs_r,
            "mean_r": self.mean_r,
            **shares,
            "strength_mean": self.strength_mean,
            "strength_gini": self.strength_gini,
            "participation_ratio": self.participation_ratio,
            "neurons": float(self.neurons),
        }


def strengths(topology: Topology) -> Vector:
    """Sum |r| of every neuron with the others, shape (n_neurons,), dimensionless."""
    strength: Vector = np.abs(topology.matrix, dtype=np.float64).sum(axis=1)
    return strength - np.abs(np.diagonal(topology.matrix), dtype=np.float64)


def gini(values: Vector) -> float:
    """Gini coefficient of non-negative values, 0 where their sum is 0.

    Examples
    --------
    >>> gini(np.array([1.0, 1.0, 1.0]))
    0.0
    >>> gini(np.array([0.0, 0.0, 0.0, 8.0]))
    0.75
    """
    n, total = len(values), values.sum()
    if total == 0:
        return 0.0
    rank = np.arange(1, n + 1)
    return float(2 * (rank * np.sort(values)).sum() / (n * total) - (n + 1) / n)


def edges(topology: Topology) -> NDArray[np.float32]:
    """Return r of every pair of different defined neurons, once each."""
    defined = np.setdiff1d(np.arange(topology.n_neurons), topology.undefined)
    matrix = topology.matrix[np.ix_(defined, defined)]
    pairs: NDArray[np.float32] = matrix[np.tri(len(defined), k=-1, dtype=bool)]
    return pairs


def measure(topology: Topology, hubs: int = 10) -> Measures:
    """Sum up a topology, naming its strongest neurons.

    Parameters
    ----------
    topology : Topology
        What to sum up.
    hubs : int
        How many of the strongest neurons to name.
    """
    r = edges(topology).astype(np.float64)
    magnitude = np.abs(r)
    strength = strengths(topology)
    defined = np.setdiff1d(np.arange(topology.n_neurons), topology.undefined)
    order = defined[np.argsort(-strength[defined], kind="stable")][:hubs]
    n = len(defined)

    def mean(values: NDArray[Any]) -> float:
        return float(values.mean()) if values.size else 0.0

    return Measures(
        neurons=n,
        mean_r=mean(r),
        mean_abs_r=mean(magnitude),
        share_above={str(t): mean(magnitude > t) for t in THRESHOLDS},
        strength_mean=mean(strength[defined]),
        strength_gini=gini(strength[defined]) if n else 0.0,
        participation_ratio=n**2 / (n + 2 * float((r**2).sum())) if n else 0.0,
        hubs=[(int(neuron), float(strength[neuron])) for neuron in order],
    )
