"""All measures of a topology."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probe.config import MeasuresConfig
from probe.errors import UserError
from probe.measures.defined import Matrix, Neurons, defined, defined_part
from probe.measures.entries import THRESHOLDS, basic, cross_basic, strongest
from probe.measures.graph_measures import GraphMeasures, graph_measures
from probe.measures.hubs import n_hubs, strongest_neurons
from probe.measures.spectrum import MOST, Spectrum
from probe.topology import Topology
from probe.topology.reliability import Reliability, debiased_r2

# By which definition communities and rewired graphs are measured. 1, of runs that do not say: the
# better of two partitions by networkx's Louvain method, without refinement; edges swapped. 2: the
# best of five with refinement; neighbours traded. 3: better ones are searched for around three.
DEFINITION = 3
# What another definition changes.
REDEFINED = ("communities", "modularity", "modularity_null", "small_world", "rich_club")


@dataclass(frozen=True)
class Measures:
    """Measures of one topology; undefined neurons are left out.

    Between two layers (kind `cross`) every entry counts as a pair, and there are no strengths, no
    spectrum and no graphs.

    Attributes
    ----------
    neurons : int
        Number of defined neurons.
    mean_r, mean_abs_r, mean_r2 : float
        Mean of r, |r| and r² over pairs of different neurons, dimensionless. The sign of a neuron
        is arbitrary, so report mean |r|, not mean r.
    chance_abs_r, debiased_r2 : float or None
        Chance level, the mean |r| of independent white noise over as many tokens, and mean r²
        corrected for that noise; None if the number of tokens is unknown.
    null_mean_abs_r : float or None
        Mean |r| under the circular-shift null, if it was computed.
    split_half : float or None
        Split-half r, the correlation between the topologies of two halves of the documents, if it
        was computed.
    strongest_share : float or None
        Share of the token with the largest norm of each text in the topology, if it was computed.
    share_above : dict of str to float
        Share of the pairs with |r| above 0.1, 0.3 and 0.5.
    strength_mean : float or None
        Mean strength. A neuron's strength is the sum of |r| with all other neurons.
    strength_gini : float or None
        Gini coefficient of the strengths: 0 if all are equal, towards 1 if few neurons have all.
    participation_ratio : float or None
        Effective dimension `n²/‖R‖²_F = (Σλ)²/Σλ²`, from 1 (all alike) to n (all independent).
    hubs : list of (int, float)
        The strongest neurons with their strengths, the strongest first.
    spectrum : Spectrum or None
        Eigenvalues of the whole matrix.
    graphs : list of GraphMeasures
        Measures of the graph of the strongest edges, one for each density.
    communities : list of int
        Community of every neuron at the first density, 0 the largest, -1 for undefined neurons;
        empty if they were not computed.
    skipped : dict of str to str
        Measures that were not computed, and why.
    strongest : list of (int, int, float)
        Between two layers, the ten entries with the largest |r|: row, column and r.
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
    strength_mean: float | None = None
    strength_gini: float | None = None
    participation_ratio: float | None = None
    hubs: list[tuple[int, float]] = field(default_factory=list)
    spectrum: Spectrum | None = None
    graphs: list[GraphMeasures] = field(default_factory=list)
    communities: list[int] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    strongest: list[tuple[int, int, float]] = field(default_factory=list)
    strongest_share: float | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Measures":
        """Rebuild from the output of `dataclasses.asdict`, as stored in measures.json."""
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
        """Return the scalar measures that exist, by name (`…_at_0.05` for several densities)."""
        shares = {f"share_above_{name}": value for name, value in self.share_above.items()}
        single = {
            "mean_abs_r": self.mean_abs_r,
            "chance_abs_r": self.chance_abs_r,
            "null_mean_abs_r": self.null_mean_abs_r,
            "mean_r": self.mean_r,
            "mean_r2": self.mean_r2,
            "debiased_r2": self.debiased_r2,
            "split_half": self.split_half,
            "strongest_share": self.strongest_share,
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
    """Compute all measures of a topology.

    Parameters
    ----------
    topology : Topology
        Topology to measure.
    settings : MeasuresConfig, optional
        Densities, rewired graphs, hubs and seed; default: those of the configuration.

    Raises
    ------
    UserError
        If a density or the density rule is invalid, or something else is given than a topology.
    """
    if not isinstance(topology, Topology):
        raise UserError(
            f"a topology is measured, and a value of type {type(topology).__name__} was given; "
            "api.load_topology and api.correlate return topologies"
        )
    settings = settings or MeasuresConfig()
    if topology.kind == "cross":
        numbers = cross_basic(topology.matrix, topology.undefined)
        return Measures(
            neurons=int(numbers["neurons"]),
            **_of_entries(numbers, topology.reliability),
            strongest=strongest(topology.matrix, topology.undefined),
        )
    neurons = defined(topology.n_neurons, topology.undefined)
    part = defined_part(topology.matrix, topology.undefined)
    numbers = basic(part)
    hubs = n_hubs(len(neurons), settings)
    graphs, labels, skipped = _graphs(part, hubs, settings)
    if len(part) > MOST:
        skipped["spectrum"] = f"{len(part):,} neurons are more than {MOST:,}"
    return Measures(
        neurons=len(neurons),
        **_of_entries(numbers, topology.reliability),
        strength_mean=numbers["strength_mean"],
        strength_gini=numbers["strength_gini"],
        participation_ratio=numbers["participation_ratio"],
        hubs=strongest_neurons(part, neurons, hubs),
        spectrum=None if "spectrum" in skipped else Spectrum.of(part),
        graphs=graphs,
        communities=_for_all_neurons(labels, neurons, topology.n_neurons),
        skipped=skipped,
    )


def _of_entries(numbers: dict[str, float], reliability: Reliability | None) -> dict[str, Any]:
    """Return the measures of the entries, with those of their noise."""
    null = reliability.null if reliability else None
    noise = reliability.noise if reliability else 1.0
    return {
        "mean_r": numbers["mean_r"],
        "mean_abs_r": numbers["mean_abs_r"],
        "mean_r2": numbers["mean_r2"],
        "chance_abs_r": reliability.chance_abs_r if reliability else None,
        # With two tokens every r is ±1.
        "debiased_r2": debiased_r2(numbers["mean_r2"], noise) if noise < 1 else None,
        "null_mean_abs_r": null.mean_abs_r if null else None,
        "split_half": reliability.split_half if reliability else None,
        "strongest_share": reliability.strongest_share if reliability else None,
        "share_above": {str(t): numbers[f"share_above_{t}"] for t in THRESHOLDS},
    }


def _graphs(
    part: Matrix, hubs: int, settings: MeasuresConfig
) -> tuple[list[GraphMeasures], Neurons | None, dict[str, str]]:
    """Measure the graphs of all densities; communities are those of the first."""
    density = settings.density
    densities = [density] if isinstance(density, int | float) else list(density)
    graphs = [graph_measures(part, density, hubs, settings) for density in densities]
    skipped = {
        name + _suffix(graph.density, len(graphs) > 1): why
        for graph, _, reasons in graphs
        for name, why in reasons.items()
    }
    return [graph for graph, _, _ in graphs], graphs[0][1] if graphs else None, skipped


def _suffix(density: float, several: bool) -> str:
    return f"_at_{density:g}" if several else ""


def _for_all_neurons(labels: Neurons | None, neurons: Neurons, n: int) -> list[int]:
    if labels is None:
        return []
    communities = np.full(n, -1)
    communities[neurons] = labels
    return [int(label) for label in communities]
