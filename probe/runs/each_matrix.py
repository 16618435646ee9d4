"""Measure the matrices of a run, each in a process of its own where that is quicker."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from probe.config import Config, FiguresConfig, from_plain, to_plain
from probe.measures import Measures, measure
from probe.plots import draws_each
from probe.system.machine import available_memory, cores
from probe.system.workers import Item, Workers
from probe.topology import Topology

# Seconds of one core: to measure an entry of a matrix, to draw a matrix; from which on to share.
_ENTRY, _DRAWING, _WORTH = 8e-7, 0.3, 3.0
# Bytes that measuring takes: of libraries, and of each entry of a matrix.
_LIBRARIES, _BYTES = 150_000_000, 40


def workers_for(topologies: Sequence[Topology], figures: FiguresConfig) -> Workers:
    """Return one worker for each core that the matrices can use; none if that takes longer."""
    sizes = [topology.matrix.size for topology in topologies]
    drawn = len(sizes) if draws_each(figures.draw, len(sizes)) else 0
    if _ENTRY * sum(sizes) + _DRAWING * drawn < _WORTH:
        return Workers(0)
    processes = min(cores(), len(sizes))
    memory = available_memory()
    if memory is not None:
        processes = min(processes, memory // (2 * (_LIBRARIES + _BYTES * max(sizes))))
    return Workers(processes)


def measure_each(
    workers: Workers, run: Path, topologies: Sequence[Topology], config: Config
) -> list[tuple[Topology, Measures]]:
    """Measure topologies whose matrices are saved in a run's folder.

    Parameters
    ----------
    workers : Workers
        Who measures.
    run : Path
        The folder, where each worker reads its matrix.
    topologies : sequence of Topology
        What to measure.
    config : Config
        What to compute.
    """
    plain = to_plain(config)
    items = [item_of(run, topology) | {"config": plain} for topology in topologies]
    answers = workers.map(f"{__name__}:measure_item", items)
    bar = tqdm(answers, "measures", len(items), disable=None, leave=False, delay=2)
    measured = [Measures.from_record(record) for record in bar]
    return list(zip(topologies, measured, strict=True))


def item_of(run: Path, topology: Topology) -> Item:
    """Return what a worker needs to load a topology."""
    return {"run": str(run), "topology": topology.record()}


def load_item(item: Item) -> Topology:
    """Load the topology of an item."""
    return Topology.load(Path(item["run"]), item["topology"])


def measure_item(item: Item) -> dict[str, Any]:
    """Measure the topology of an item; the work of one worker."""
    return asdict(measure(load_item(item), from_plain(item["config"]).measures))
