"""`hubs.json`: what the hubs of a run are, written and read, and in one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import UserError
from probe.measures import partners
from probe.system.files import atomic_write
from probe.system.logs import plural
from probe.topology import Topology

if TYPE_CHECKING:
    from probe.measures import Measures

logger = logging.getLogger(__name__)
HUBS = "hubs.json"
# Neurons named that a hub goes with.
_PARTNERS = 5
# What is read from the texts and the weights, which are gone when measures are redone.
_DESCRIBED = ("tokens", "promotes", "suppresses")
Hubs = dict[str, list[dict[str, Any]]]


def write_hubs(
    run: Path,
    measured: Sequence[tuple[Topology, Measures]],
    described: Mapping[str, Mapping[int, Mapping[str, Any]]],
) -> Hubs:
    """Write the hubs of every topology, the strongest first, and return them.

    Parameters
    ----------
    run : Path
        The run's folder.
    measured : sequence of (Topology, Measures)
        Topologies with their hubs.
    described : mapping
        By topology and neuron what is known of it, see `probe.extraction.hub_texts`.
    """
    hubs = {
        topology.name: [
            {
                "neuron": neuron,
                "strength": strength,
                "partners": [
                    {"neuron": other, "r": r}
                    for other, r in partners(topology.matrix, neuron, _PARTNERS)
                ],
                **described.get(topology.name, {}).get(neuron, {}),
            }
            for neuron, strength in measures.hubs
        ]
        for topology, measures in measured
        if measures.hubs
    }
    if hubs:
        with atomic_write(run / HUBS) as unfinished:
            unfinished.write_text(json.dumps(hubs, indent=1) + "\n")
    return hubs


def read_hubs(run: Path) -> Hubs:
    """Read the hubs of a finished run by topology; none of a run that was made before.

    Raises
    ------
    UserError
        If the file is corrupt.
    """
    try:
        content = json.loads((run / HUBS).read_text(encoding="utf-8"))
        return {
            name: [{**hub, "neuron": int(hub["neuron"])} for hub in content[name]]
            for name in content
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{run / HUBS} is corrupt ({error!r}); do the run again with overwrite=true"
        ) from None


def described_before(run: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return what a finished run knows of its hubs, by topology and neuron."""
    return {
        name: {hub["neuron"]: {key: hub[key] for key in _DESCRIBED if key in hub} for hub in hubs}
        for name, hubs in read_hubs(run).items()
    }


def log_hubs(hubs: Hubs, topologies: Sequence[Topology]) -> None:
    """Log what the first hub is, and how many largest tokens of hubs are the first of a text."""
    every = [hub for listed in hubs.values() for hub in listed]
    tokens = [token for hub in every for token in hub.get("tokens", [])]
    if not tokens:
        return
    name, (first, *_) = next(iter(hubs.items()))
    named = next(topology for topology in topologies if topology.name == name).neuron_name
    facts = [
        f"goes most with {named(one['neuron'])} (r = {one['r']:.2f})"
        for one in first["partners"][:1]
    ] + [
        f"is largest on {one['token']!r} ({one['document']})" for one in first.get("tokens", [])[:1]
    ]
    if first.get("promotes"):
        facts.append(f"writes to {' '.join(map(repr, first['promotes'][:3]))}")
    unknown = sum("tokens" not in hub for hub in every)
    logger.info(
        "%s: hub %s %s; %d of the %d tokens on which hubs are largest are the first of a text%s",
        name, named(first["neuron"]), ", ".join(facts),
        sum(token["position"] == 0 for token in tokens), len(tokens),
        f" ({plural(unknown, 'hub')} that were none before are not described; overwrite=true "
        "describes them)" if unknown else "",
    )  # fmt: skip
