"""All measures of a topology."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.config import MeasuresConfig
from probe.measures.cross import cross_basic, strongest
from probe.measures.entries import THRESHOLDS, basic, defined, defined_part, matrix_strengths
from probe.measures.graph import Nodes
from probe.measures.graphs import GraphMeasures, graph_measures
from probe.measures.spectrum import MOST, Spectrum
from probe.topology import Topology
from probe.topology.reliability import Reliability, debiased_r2

Matrix = NDArray[np.float32]
# 50 of 896, as in the published studies of hubs.
HUB_SHARE = 0.056


@dataclass(frozen=True)
class Measures:
    """Summary of one topology; undefined neurons are left out.

    Between two layers (kind `cross`) every entry counts as a pair, and there are no strengths, no
    spectrum and no graphs.

    Attributes
    ----------
    neurons : int
        Number of neurons that are defined.
    mean_r, mean_abs_r, mean_r2 : float
        Mean of r, of |r| and of r² over pairs of different neurons, dimensionless. The sign of a
        neuron is arbitrary, so mean r is not one to report.
    chance_abs_r, debiased_r2 : float or None
        Mean |r| of independent white noise over as many tokens, and mean r² less the noise in it;
        None for topologies whose tokens are not known.
    null_mean_abs_r : float or None
        Mean |r| of series shifted circularly, where there are such.
    split_half : float or None
        Correlation between the topologies of two halves of the documents, where it is known.
    share_above : dict of str to float
        Share of the pairs with |r| above 0.1, 0.3 and 0.5.
    strength_mean : float or None
        Mean strength. A neuron's strength is the sum of |r| with all the others.
    strength_gini : float or None
        Gini coefficient of the strengths: 0 where all are the same, towards 1 where few have all.
    participation_ratio : float or None
        Effective dimension `n²/‖R‖²_F = (Σλ)²/Σλ²`, from 1 (all one) to n (all independent).
    hubs : list of (int, float)
        The strongest neurons with their strengths, the strongest first.
    spectrum : Spectrum or None
        Eigenvalues of the whole matrix.
    graphs : list of GraphMeasures
        Measures of the graph of the strongest edges, one for each density.
    communities : list of int
        Community of every neuron at the first density, 0 the largest, -1 for undefined neurons;
        empty where they were not looked for.
    skipped : dict of str to str
        Measures that were not computed, and why.
    strongest : list of (int, int, float)
        Between two layers the ten entries with the largest |r|: row, column and r.
    """

    neurons: int
    mean_r: float
    mean_abs_r: float
    mean_r2: float
    chance_abs_r: float | None
    debiased_r2: float | None
    null_mean_abs_r: float | None
    split_half: float | None
    share_above: dict[str, float]
    strength_mean: float | None
    strength_gini: float | None
    participation_ratio: float | None
    hubs: list[tuple[int, float]]
    spectrum: Spectrum | None
    graphs: list[GraphMeasures]
    communities: list[int]
    skipped: dict[str, str]
    strongest: list[tuple[int, int, float]] = field(default_factory=list)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Measures:
        """Rebuild from what `dataclasses.asdict` made, as read from measures.json."""
        rest = dict(record)
        spectrum = rest.pop("spectrum")
        return cls(
            hubs=[(neuron, strength) for neuron, strength in rest.pop("hubs")],
            spectrum=None if spectrum is None else Spectrum(**spectrum),
            graphs=[GraphMeasures(**graph) for graph in rest.pop("graphs")],
            strongest=[(i, j, r) for i, j, r in rest.pop("strongest", [])],
            **rest,
        )

    def numbers(self) -> dict[str, float]:
        """Return the single numbers that exist, by name; `_at_0.05` where there are densities."""
        shares = {f"share_above_{name}": value for name, value in self.share_above.items()}
        single = {
            "mean_abs_r": self.mean_abs_r,
            "chance_abs_r": self.chance_abs_r,
            "null_mean_abs_r": self.null_mean_abs_r,
            "mean_r": self.mean_r,
            "mean_r2": self.mean_r2,
            "debiased_r2": self.debiased_r2,
            "split_half": self.split_half,
            **shares,
            "strength_mean": self.strength_mean,
            "strength_gini": self.strength_gini,
            "participation_ratio": self.participation_ratio,
            "leading_share": self.spectrum.leading_share if self.spectrum else None,
            "effective_rank": self.spectrum.effective_rank if self.spectrum else None,
            "negative_mass": self.spectrum.negative_mass if self.spectrum else None,
            "neurons": float(self.neurons),
        }
        several = len(self.graphs) > 1
        return {name: value for name, value in single.items() if value is not None} | {
            name + _suffix(graph.density, several): value
            for graph in self.graphs
            for name, value in graph.numbers().items()
        }


def measure(topology: Topology, settings: MeasuresConfig | None = None) -> Measures:
    """Sum up a topology.

    Parameters
    ----------
    topology : Topology
        What to sum up.
    settings : MeasuresConfig, optional
        Densities, rewired graphs, hubs and seed; the configuration's defaults if not given.

    Raises
    ------
    UserError
        If there is no such density or rule.
    """
    settings = settings or MeasuresConfig()
    if topology.kind == "cross":
        return _measure_cross(topology)
    kept = defined(topology.n_neurons, topology.undefined)
    part = defined_part(topology.matrix, topology.undefined)
    numbers = basic(part)
    hubs = max(round(HUB_SHARE * len(kept)), 1) if settings.hubs is None else settings.hubs
    graphs, labels, skipped = _graphs(part, hubs, settings)
    if len(part) > MOST:
        skipped["spectrum"] = f"{len(part):,} neurons are more than {MOST:,}"
    return Measures(
        neurons=len(kept),
        **_of_entries(numbers, topology.reliability),
        strength_mean=numbers["strength_mean"],
        strength_gini=numbers["strength_gini"],
        participation_ratio=numbers["participation_ratio"],
        hubs=_strongest(part, kept, hubs),
        spectrum=None if "spectrum" in skipped else Spectrum.of(part),
        graphs=graphs,
        communities=_for_all_neurons(labels, kept, topology.n_neurons),
        skipped=skipped,
    )


def _measure_cross(topology: Topology) -> Measures:
    """Sum up the correlations between two layers."""
    numbers = cross_basic(topology.matrix, topology.undefined)
    return Measures(
        neurons=int(numbers["neurons"]),
        **_of_entries(numbers, topology.reliability),
        strength_mean=None,
        strength_gini=None,
        participation_ratio=None,
        hubs=[],
        spectrum=None,
        graphs=[],
        communities=[],
        skipped={},
        strongest=strongest(topology.matrix, topology.undefined),
    )


def _of_entries(numbers: dict[str, float], known: Reliability | None) -> dict[str, Any]:
    """Return the measures of the entries, beside what is known of their noise."""
    return {
        "mean_r": numbers["mean_r"],
        "mean_abs_r": numbers["mean_abs_r"],
        "mean_r2": numbers["mean_r2"],
        "chance_abs_r": known.chance_abs_r if known else None,
        "debiased_r2": _debiased(numbers["mean_r2"], known),
        "null_mean_abs_r": known.null.mean_abs_r if known and known.null else None,
        "split_half": known.split_half if known else None,
        "share_above": {str(t): numbers[f"share_above_{t}"] for t in THRESHOLDS},
    }


def _graphs(
    part: Matrix, hubs: int, settings: MeasuresConfig
) -> tuple[list[GraphMeasures], Nodes | None, dict[str, str]]:
    """Measure the graphs of all densities; communities are those of the first."""
    given = settings.density
    densities = [given] if isinstance(given, int | float) else list(given)
    found = [graph_measures(part, density, hubs, settings) for density in densities]
    skipped = {
        name + _suffix(graph.density, len(found) > 1): why
        for graph, _, reasons in found
        for name, why in reasons.items()
    }
    return [graph for graph, _, _ in found], found[0][1] if found else None, skipped


def _suffix(density: float, several: bool) -> str:
    return f"_at_{density:g}" if several else ""


def _debiased(mean_r2: float, known: Reliability | None) -> float | None:
    if known is None or known.noise >= 1:  # two tokens make every r ±1
        return None
    return debiased_r2(mean_r2, known.noise)


def _strongest(part: Matrix, kept: Nodes, hubs: int) -> list[tuple[int, float]]:
    strength = matrix_strengths(part)
    order = np.argsort(-strength, kind="stable")[:hubs]
    return [(int(kept[place]), float(strength[place])) for place in order]


def _for_all_neurons(labels: Nodes | None, kept: Nodes, n: int) -> list[int]:
    if labels is None:
        return []
    communities = np.full(n, -1)
    communities[kept] = labels
    return [int(label) for label in communities]
