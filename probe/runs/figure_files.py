"""The figures of a run as files: those that are asked for, written at once or later."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from probe.config import Figures, FiguresConfig
from probe.measures import Measures
from probe.plots import MOST, figures, run_figures, wanted
from probe.runs.each_matrix import item_of, load_item
from probe.runs.writing import save_figure
from probe.system.workers import Item, Workers
from probe.topology import Topology

logger = logging.getLogger(__name__)
FOLDER = "figures"
Measured = Sequence[tuple[Topology, Measures]]


def write_figures(
    run: Path,
    measured: Measured,
    config: FiguresConfig,
    workers: Workers,
    present: Collection[str] = (),
) -> dict[str, Path]:
    """Draw the figures that a configuration asks for, and return the PNG files by name.

    Parameters
    ----------
    run : Path
        The run's folder.
    measured : sequence of (Topology, Measures)
        The results.
    config : FiguresConfig
        Which figures, and their format.
    workers : Workers
        Who draws the figures of single topologies, whose matrices are saved in the folder.
    present : collection of str
        Files that are there, relative to the folder. Of a topology, or across them, all figures are
        drawn or none.
    """
    missing = {
        owner: kinds
        for owner, kinds in wanted(config.draw, measured).items()
        if not {f"{FOLDER}/{_file(owner, kind)}.{end}" for kind in kinds for end in endings(config)}
        <= set(present)
    }
    if missing and config.draw is Figures.auto and len(measured) > MOST:
        logger.info(
            "%d matrices: one figure has all their heat maps; figures=all also draws each of them",
            len(measured),
        )
    items = [
        item_of(run, topology) | {"measures": asdict(measures), "endings": endings(config)}
        for topology, measures in measured
        if topology.name in missing
    ]
    answers = workers.map(f"{__name__}:draw_item", items)
    images: dict[str, Path] = {}
    for names in tqdm(answers, "figures", len(items), disable=None, leave=False, delay=2):
        images |= {name: run / FOLDER / file for name, file in names.items()}
    for kind, figure in run_figures(measured, missing.get(None, ())).items():
        images[kind] = save_figure(figure, run / FOLDER / f"{kind}.png", *endings(config))
    return images


def draw_item(item: Item) -> dict[str, str]:
    """Draw the topology of an item; the work of one worker."""
    topology = load_item(item)
    drawn = figures(topology, Measures.from_record(item["measures"]))
    files = {kind: Path(item["run"], FOLDER, f"{_file(topology.name, kind)}.png") for kind in drawn}
    for kind, figure in drawn.items():
        save_figure(figure, files[kind], *item["endings"])
    return {f"{topology.name}/{kind}": file.name for kind, file in files.items()}


def _file(owner: str | None, kind: str) -> str:
    return kind if owner is None else f"{owner}_{kind}"


def endings(config: FiguresConfig) -> list[str]:
    """Return the formats in which figures are written."""
    return list(dict.fromkeys(["png", config.format.value]))
