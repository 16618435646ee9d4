"""The figures of a run as files: those that are asked for, written at once or later."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from probe.config import Config, Figures, FiguresConfig, from_plain, to_plain
from probe.measures import Measures
from probe.plots import HEAT_MAPS, MOST, figures, run_figures, wanted
from probe.runs.each_matrix import item_of, load_item
from probe.runs.writing import endings, save_figure
from probe.system.workers import Item, Workers
from probe.topology import Topology

logger = logging.getLogger(__name__)
FOLDER = "figures"
# In a manifest: how each figure looks that was drawn later.
DRAWN = "figures"
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
        Which figures, and how they look.
    workers : Workers
        Who draws the figures of single topologies, whose matrices are saved in the folder.
    present : collection of str
        Files that are there and look so, relative to the folder; figures without one are drawn.
    """
    missing: dict[str | None, list[str]] = {}
    for owner, kinds in wanted(config.draw, measured).items():
        for kind in kinds:
            files = {f"{FOLDER}/{_file(owner, kind)}.{end}" for end in endings(config)}
            if not files <= set(present):
                missing.setdefault(owner, []).append(kind)
    if missing and config.draw is Figures.auto and len(measured) > MOST:
        logger.info(
            "%d matrices: one figure has all their heat maps; figures=all also draws each of them",
            len(measured),
        )
    look = to_plain(Config(figures=config))["figures"]
    items = [
        item_of(run, topology)
        | {"measures": asdict(measures), "kinds": missing[topology.name], "figures": look}
        for topology, measures in measured
        if topology.name in missing
    ]
    answers = workers.map(f"{__name__}:draw_item", items)
    images: dict[str, Path] = {}
    for names in tqdm(answers, "figures", len(items), disable=None, leave=False, delay=2):
        images |= {name: run / FOLDER / file for name, file in names.items()}
    for kind, figure in run_figures(measured, missing.get(None, ()), config).items():
        images[kind] = save_figure(figure, run / FOLDER / f"{kind}.png", config)
    return images


def draw_item(item: Item) -> dict[str, str]:
    """Draw the topology of an item; the work of one worker."""
    topology = load_item(item)
    look = from_plain({"figures": item["figures"]}).figures
    drawn = figures(topology, Measures.from_record(item["measures"]), item["kinds"], look)
    files = {kind: Path(item["run"], FOLDER, f"{_file(topology.name, kind)}.png") for kind in drawn}
    for kind, figure in drawn.items():
        save_figure(figure, files[kind], look)
    return {f"{topology.name}/{kind}": file.name for kind, file in files.items()}


def _file(owner: str | None, kind: str) -> str:
    return kind if owner is None else f"{owner}_{kind}"


def files_that_look(manifest: Mapping[str, Any], config: FiguresConfig) -> list[str]:
    """Return the files of a manifest but those of figures that look otherwise with these keys."""
    first = manifest["config"].get("figures", {})
    drawn = manifest.get(DRAWN, {})
    now = look_of(config)
    return [
        file
        for file in manifest["files"]
        if Path(file).parts[0] != FOLDER
        or all(drawn.get(file, first).get(key, _USUAL[key]) == now[key] for key in _seen(file))
    ]


def look_of(config: FiguresConfig) -> dict[str, Any]:
    """Return the keys that change a figure but not its file's name."""
    return {"dpi": config.dpi, "max_r": config.max_r}


def _seen(file: str) -> tuple[str, ...]:
    """Return which of these keys show in the figure of a file."""
    kind = Path(file).stem.rpartition("_")[2]
    return ("dpi", "max_r") if kind in HEAT_MAPS else ("dpi",)


_USUAL = look_of(FiguresConfig())
