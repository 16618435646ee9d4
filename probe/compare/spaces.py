"""When neuron 17 of one topology is neuron 17 of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.topology import Topology

# By field of `Space`.
_REASONS = {
    "init": "{} and {} weights began differently",
    "site": "{} and {} are different neurons",
    "layers": "every layer has neurons of its own",
    "neurons": "there are {} neurons and {}",
}


@dataclass(frozen=True)
class Space:
    """The neurons of a topology.

    Neurons have no names of their own: two initialisations of one architecture differ by an unknown
    permutation. Training keeps a neuron in its place, so that revisions (such as the steps of
    Pythia) share their neurons, and so does the residual stream from layer to layer. MLP neurons
    belong to their layer.

    Attributes
    ----------
    model : str
        The model's repository, else the name that it was given, else its folder.
    init : str
        `pretrained`, or `random` with its seed.
    site : str
        Where neurons are read.
    layers : tuple of int or None
        Layers that the neurons belong to, where every layer has its own.
    neurons : int
        Number of neurons.
    fingerprint : str or None
        Of the model's files, or its commit on the Hub; None in runs of older versions. For random
        weights it covers the configuration only.
    unnamed : bool
        Whether `model` is only a folder, whose content may have changed.
    """

    model: str
    init: str
    site: str
    layers: tuple[int, ...] | None
    neurons: int
    fingerprint: str | None = None
    unnamed: bool = False

    @classmethod
    def of(cls, topology: Topology, manifest: Mapping[str, Any]) -> Space:
        """Read the space off a topology and the manifest of its run."""
        model, seed = manifest["config"]["model"], manifest["config"]["init"]["seed"]
        name = model["id"] or model["name"]
        return cls(
            model=name or model["path"],
            init=f"random (seed {seed})" if topology.init == "random" else topology.init,
            site=topology.site,
            layers=topology.layers if topology.site == "mlp" or topology.kind == "full" else None,
            neurons=topology.n_neurons,
            fingerprint=manifest.get("fingerprints", {}).get("model"),
            unnamed=not name,
        )

    def unlike(self, other: Space) -> str | None:
        """Return why the neurons of two spaces differ, or None if they are the same."""
        if not self._same_model(other):
            if self.model == other.model:
                return f"{self.model} has held different models"
            return "{} and {} are different models".format(*sorted((self.model, other.model)))
        for name, reason in _REASONS.items():
            values = getattr(self, name), getattr(other, name)
            if values[0] != values[1]:
                return reason.format(*sorted(values, key=str))
        return None

    def _same_model(self, other: Space) -> bool:
        if self.fingerprint is not None and other.fingerprint is not None:
            if self.fingerprint == other.fingerprint:
                return True
            if self.unnamed or other.unnamed:
                return False
        return self.model == other.model


def group_spaces(spaces: Sequence[Space]) -> list[list[int]]:
    """Group spaces that have the same neurons, directly or through others.

    A model's name links its revisions and a fingerprint links the copies of each, so copies of two
    revisions may be linked only through the revisions themselves.

    Returns
    -------
    list of list of int
        Indices into `spaces`, ascending within each group.
    """
    groups: list[list[Space]] = []
    for space in dict.fromkeys(spaces):
        linked = [group for group in groups if any(one.unlike(space) is None for one in group)]
        groups = [group for group in groups if group not in linked]
        groups.append([*(one for group in linked for one in group), space])
    return [[place for place, one in enumerate(spaces) if one in group] for group in groups]
