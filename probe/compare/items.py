"""The items of a comparison: every topology of some runs, with measures and a short label."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probe.compare.spaces import Space
from probe.errors import UserError
from probe.runs.load import load_topologies
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import defined_alike, read_measures, read_numbers
from probe.topology import Topology


@dataclass(frozen=True, eq=False)
class Item:
    """One topology of a comparison.

    Attributes
    ----------
    label : str
        Short name, unique among the items.
    run : Path
        Folder of its run.
    topology : Topology
        The matrix.
    space : Space
        Its neurons.
    hubs : tuple of int
        Its hubs, as in the run's measures.
    numbers : dict of str to float
        Its measures.
    """

    label: str
    run: Path
    topology: Topology
    space: Space
    hubs: tuple[int, ...]
    numbers: dict[str, float]

    @property
    def half_differences(self) -> dict[str, float]:
        """How much each measure differs between two halves of the documents, where known."""
        reliability = self.topology.reliability
        if reliability is None or len(reliability.halves) != 2:
            return {}
        first, second = reliability.halves
        return {name: abs(first[name] - second[name]) for name in first if name in second}


def load_items(runs: Sequence[str | os.PathLike[str]]) -> list[Item]:
    """Load every topology of finished runs; a run given twice counts once.

    Raises
    ------
    UserError
        If a folder is not a finished run, or there is nothing to compare.
    """
    folders = list(dict.fromkeys(Path(run).resolve() for run in runs))
    loaded = [load_topologies(folder) for folder in folders]
    for folder, topologies in zip(folders, loaded, strict=True):
        if any(topology.kind == "cross" for topology in topologies):
            raise UserError(
                f"{folder} has matrices between two layers, which have no graph or hubs to "
                "compare; give runs of layers=each or layers=full"
            )
    if sum(map(len, loaded)) < 2:
        raise UserError(
            f"{runs[0]} has only one topology, and a comparison needs two; give another run"
        )
    labels = _labels(_names(folders), [[topology.name for topology in each] for each in loaded])
    items = [
        item
        for run, topologies, names in zip(folders, loaded, labels, strict=True)
        for item in _items(run, topologies, names)
    ]
    alike = defined_alike([item.run for item in items], [item.numbers for item in items])
    return [replace(item, numbers=numbers) for item, numbers in zip(items, alike, strict=True)]


def _items(run: Path, topologies: Sequence[Topology], labels: Sequence[str]) -> Iterator[Item]:
    numbers, measures = read_numbers(run), read_measures(run)
    manifest = read_manifest(run, "config")
    for topology, label in zip(topologies, labels, strict=True):
        yield Item(
            label=label,
            run=run,
            topology=topology,
            space=Space.of(topology, manifest),
            hubs=tuple(neuron for neuron, _ in measures[topology.name]["hubs"]),
            numbers=numbers[topology.name],
        )


def _labels(runs: Sequence[str], topologies: Sequence[Sequence[str]]) -> list[list[str]]:
    """Label the topologies of every run as briefly as possible."""
    if len(runs) == 1:
        return [list(topologies[0])]
    if all(len(names) == 1 for names in topologies):
        return [[run] for run in runs]
    return [
        [f"{run}/{name}" for name in names] for run, names in zip(runs, topologies, strict=True)
    ]


def _names(runs: Sequence[Path]) -> list[str]:
    """Name runs by the shortest part of their paths that distinguishes them."""
    names = [re.sub(r"-[0-9a-f]{8}$", "", run.name) for run in runs]
    in_folder = [f"{run.parent.name}/{name}" for run, name in zip(runs, names, strict=True)]
    in_two = [f"{run.parent.parent.name}/{name}" for run, name in zip(runs, in_folder, strict=True)]
    for candidate in (names, in_folder, in_two, [run.name for run in runs]):
        if len(set(candidate)) == len(runs):
            return candidate
    return [str(run) for run in runs]
