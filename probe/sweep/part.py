"""What a run of some layers would have found, taken from a run of more."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe.config import Sinks
from probe.runs.facts import Facts
from probe.runs.manifest import read_manifest
from probe.topology import Topology
from probe.topology.sinks import decided_by

HUBS = "hubs"


def part_of(run: Path, layers: Sequence[int]) -> tuple[list[Topology], Facts]:
    """Load the topologies of some layers and what is known of them.

    Parameters
    ----------
    run : Path
        A finished run with a topology, or several, for each of its layers, and in the manifest also
        what hubs are.
    layers : sequence of int
        Some of these layers, in order.

    Returns
    -------
    list of Topology
        In the order of the run.
    Facts
        Of these layers; the time is that of the whole run.

    Raises
    ------
    UserError
        If a file is missing or corrupt.
    """
    manifest = read_manifest(run, "topologies", HUBS)
    facts = Facts.from_manifest(manifest)
    own = [record for record in manifest["topologies"] if {*record["layers"]} <= {*layers}]
    sinks = _sinks(facts.sinks, [record["name"] for record in own])
    if sinks is not None and sinks["decided"] == Sinks.keep:
        own = [record for record in own if not record["without_sinks"]]
    topologies = [Topology.load(run, record) for record in own]
    rows = [facts.layers.index(layer) for layer in layers]
    first, norms = facts.first_token_norm, facts.token_norms
    names = [topology.name for topology in topologies]
    return topologies, replace(
        facts,
        layers=[*layers],
        sinks=sinks,
        first_token_norm=None if first is None else [first[row] for row in rows],
        token_norms=norms and {**norms, "layers": [norms["layers"][row] for row in rows]},
        hubs={
            name: {int(neuron): hub for neuron, hub in manifest[HUBS][name].items()}
            for name in names
            if name in manifest[HUBS]
        },
    )


def _sinks(sinks: dict[str, Any] | None, names: Collection[str]) -> dict[str, Any] | None:
    """Decide about sinks as for these matrices alone, where the run decided by all of its own."""
    if sinks is None or "shares" not in sinks:
        return sinks
    shares = {name: share for name, share in sinks["shares"].items() if name in names}
    return {**sinks, "decided": decided_by(shares).value, "shares": shares}
