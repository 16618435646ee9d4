"""The results of a run: matrices, measures, figures, manifest, a W&B run, a console table."""

import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from probe.errors import UserError
from probe.measures import Measures, measure
from probe.plots import MOST_PAIRS, figures, run_figures
from probe.runs.console_table import log_table
from probe.runs.facts import Facts
from probe.runs.folder import RunFolder
from probe.runs.hubs_file import log_hubs, read_hubs, write_hubs
from probe.runs.load import load_topologies
from probe.runs.measures_files import (
    MEASURES,
    outlier_tokens,
    read_measures,
    write_measures,
)
from probe.runs.writing import save_figure
from probe.system.logs import plural
from probe.topology import Topology
from probe.tracking import Record, track

logger = logging.getLogger(__name__)
Measured = list[tuple[Topology, Measures]]


def write(
    folder: RunFolder, topologies: Sequence[Topology], facts: Facts, group: str | None
) -> None:
    """Write all results into the run's folder, close it, and report to W&B and the console.

    Parameters
    ----------
    folder : RunFolder
        Claimed by this process.
    topologies : sequence of Topology
        Results.
    facts : Facts
        How the extraction went.
    group : str or None
        The sweep the run belongs to.
    """
    matrices = [file for topology in topologies for file in topology.save(folder.work)]
    bar = tqdm(topologies, desc="measures", disable=None, leave=False, delay=2)
    measured = [(topology, measure(topology, folder.config.measures)) for topology in bar]
    write_measures(folder.work, measured, facts)
    hubs = write_hubs(folder.work, measured, facts.hubs or {})
    images = _draw(folder.work / "figures", measured)
    folder.close({**facts.record(), "topologies": [topology.record() for topology in topologies]})
    matrices = [folder.path / file.relative_to(folder.work) for file in matrices]
    images = {kind: folder.path / file.relative_to(folder.work) for kind, file in images.items()}
    name = str(folder.path.relative_to(folder.config.output))
    numbers = {key: facts.record()[key] for key in ("examples", "tokens", "ranks", "seconds")}
    tokens = outlier_tokens(facts.token_norms)
    record = Record(name, group, measured, images, matrices, numbers, hubs, tokens)
    wandb_run = track(folder.config, folder.path, record)
    log_table(measured)
    log_hubs(hubs)
    logger.info(
        "%s, %s, %.1f s on %s",
        plural(facts.examples, "example"), plural(facts.tokens, "token"), facts.seconds,
        plural(facts.ranks, "rank"),
    )  # fmt: skip
    logger.info("topologies, measures and figures: %s", folder.path)
    if wandb_run is not None:
        logger.info("W&B run: %s", wandb_run)


def show(run: Path) -> None:
    """Show the summary table of a finished run.

    Raises
    ------
    UserError
        If one of its files is missing or corrupt.
    """
    topologies, records = load_topologies(run), read_measures(run)
    try:
        measured = [(t, Measures.from_record(records[t.name])) for t in topologies]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run / MEASURES} is corrupt ({error!r}); do the run again with overwrite=true"
        ) from None
    log_table(measured)
    log_hubs(read_hubs(run))


def _draw(folder: Path, measured: Measured) -> dict[str, Path]:
    images = {}
    pairs = sum(topology.kind == "cross" for topology, _ in measured)
    if pairs > MOST_PAIRS:
        logger.info(
            "no figures for each of %d matrices between two layers, as there are more than %d",
            pairs, MOST_PAIRS,
        )  # fmt: skip
    for topology, measures in tqdm(measured, desc="figures", disable=None, leave=False, delay=2):
        if topology.kind == "cross" and pairs > MOST_PAIRS:
            continue
        for kind, figure in figures(topology, measures).items():
            file = folder / f"{topology.name}_{kind}.png"
            images[f"{topology.name}/{kind}"] = save_figure(figure, file)
    for kind, figure in run_figures(measured).items():
        images[kind] = save_figure(figure, folder / f"{kind}.png")
    return images
