"""The figures of a run as files: those that are asked for, written at once or later."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from tqdm import tqdm

from probe.config import Figures, FiguresConfig
from probe.measures import Measures
from probe.plots import MOST, figures, run_figures, wanted
from probe.runs.writing import save_figure
from probe.topology import Topology

logger = logging.getLogger(__name__)
FOLDER = "figures"
Measured = Sequence[tuple[Topology, Measures]]


def write_figures(
    run: Path, measured: Measured, config: FiguresConfig, present: Collection[str] = ()
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
    images: dict[str, Path] = {}
    by_name = {topology.name: (topology, measures) for topology, measures in measured}
    bar = tqdm(missing.items(), desc="figures", disable=None, leave=False, delay=2)
    for owner, kinds in bar:
        drawn = run_figures(measured, kinds) if owner is None else figures(*by_name[owner])
        for kind, figure in drawn.items():
            file = run / FOLDER / f"{_file(owner, kind)}.png"
            name = kind if owner is None else f"{owner}/{kind}"
            images[name] = save_figure(figure, file, *endings(config))
    return images


def _file(owner: str | None, kind: str) -> str:
    return kind if owner is None else f"{owner}_{kind}"


def endings(config: FiguresConfig) -> list[str]:
    """Return the formats in which figures are written."""
    return list(dict.fromkeys(["png", config.format.value]))
