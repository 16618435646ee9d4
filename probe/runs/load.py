"""Load the topologies of a finished run. NumPy only."""

import os
from pathlib import Path

from probe.errors import UserError, nearest
from probe.runs.manifest import read_manifest
from probe.topology import WITHOUT_SINKS, Topology


def load_topologies(run: str | os.PathLike[str]) -> list[Topology]:
    """Load every topology of a finished run.

    Raises
    ------
    UserError
        If the folder is not a finished run, or a file of it is missing.
    """
    records = read_manifest(run, "topologies")["topologies"]
    return [Topology.load(Path(run), record) for record in records]


def load_topology(run: str | os.PathLike[str], name: str | None = None) -> Topology:
    """Load one topology of a finished run, by name where there are several.

    One that stands beside another, without sinks, is loaded by name only.

    Raises
    ------
    UserError
        If there is no such topology, or several and no name.
    """
    records = {r["name"]: r for r in read_manifest(run, "topologies")["topologies"]}
    usual = [one for one in records if len(records) == 1 or WITHOUT_SINKS not in one]
    if name is None and len(usual) == 1:
        [name] = usual
    if name is None or name not in records:
        has = f"no topology '{name}'{nearest(name, records)}" if name else "several topologies"
        raise UserError(f"{run} has {has}; give one of {', '.join(records)}")
    return Topology.load(Path(run), records[name])
