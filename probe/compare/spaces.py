"""When neuron 17 of one topology is neuron 17 of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probe.topology import Topology

# By field of `Space`.
_REASONS = {
    "model": "{} and {} are different models",
    "init": "{} and {} weights began differently",
    "site": "{} and {} are different neurons",
    "layers": "every layer has neurons of its own",
    "neurons": "there are {} neurons and {}",
}


@dataclass(frozen=True)
class Space:
    """What a topology's neurons are; equal spaces have equal neurons.

    Neurons have no names of their own: two initialisations of one architecture differ by a
    permutation that nobody knows. Training, a revision such
    as a step of Pythia, keeps a neuron in its place, and so does the residual stream from layer to
    layer; the MLP neurons of every layer are others.

    Attributes
    ----------
    model : str
        Its repository, else the name that it was given, else its folder, as two folders of one
        name may hold any models; revisions are one model.
    init : str
        `pretrained`, or `random` with its seed.
    site : str
        Where neurons are read.
    layers : tuple of int or None
        Layers that the neurons belong to, where every layer has its own.
    neurons : int
        How many there are.
    """

    model: str
    init: str
    site: str
    layers: tuple[int, ...] | None
    neurons: int

    @classmethod
    def of(cls, topology: Topology, config: dict[str, Any]) -> Space:
        """Read the space off a topology and the configuration of its run."""
        seed = config["init"]["seed"]
        return cls(
            model=config["model"]["id"] or config["model"]["name"] or config["model"]["path"],
            init=f"random (seed {seed})" if topology.init == "random" else topology.init,
            site=topology.site,
            layers=topology.layers if topology.site == "mlp" or topology.kind == "full" else None,
            neurons=topology.n_neurons,
        )

    def unlike(self, other: Space) -> str | None:
        """Say why no neuron of this space is one of the other, or None where all are."""
        for name, reason in _REASONS.items():
            values = getattr(self, name), getattr(other, name)
            if values[0] != values[1]:
                return reason.format(*sorted(values, key=str))
        return None
