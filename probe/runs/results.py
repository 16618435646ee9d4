"""The results of a run: matrices, measures, figures, manifest, a W&B run, a console table."""

import logging
from collections.abc import Sequence

from probe.errors import UserError
from probe.measures import DEFINITION, Measures
from probe.runs.console_table import log_table
from probe.runs.each_matrix import measure_each, workers_for
from probe.runs.facts import Facts
from probe.runs.figure_files import DRAWN, FOLDER, files_that_look, look_of, write_figures
from probe.runs.folder import RunFolder
from probe.runs.hubs_file import log_hubs, read_hubs, write_hubs
from probe.runs.load import load_topologies
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import (
    KEY,
    MEASURES,
    outlier_tokens,
    read_measures,
    write_measures,
)
from probe.runs.writing import endings
from probe.system.logs import plural
from probe.topology import Topology
from probe.tracking import Record, track

logger = logging.getLogger(__name__)


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
    work, figures = folder.work, folder.config.figures
    with workers_for(topologies, figures) as workers:
        matrices = [file for topology in topologies for file in topology.save(work)]
        measured = measure_each(workers, work, topologies, folder.config)
        write_measures(work, measured, facts)
        hubs = write_hubs(work, measured, facts.hubs or {})
        images = write_figures(work, measured, figures, workers)
    records = [topology.record() for topology in topologies]
    folder.close({**facts.record(), KEY: DEFINITION, "topologies": records})
    matrices = [folder.path / file.relative_to(folder.work) for file in matrices]
    images = {kind: folder.path / file.relative_to(folder.work) for kind, file in images.items()}
    name = str(folder.path.relative_to(folder.config.output))
    numbers = {key: facts.record()[key] for key in ("examples", "tokens", "ranks", "seconds")}
    tokens = outlier_tokens(facts.token_norms)
    record = Record(name, group, measured, images, matrices, numbers, hubs, tokens)
    wandb_run = track(folder.config, folder.path, record)
    log_table(measured)
    log_hubs(hubs, topologies)
    logger.info(
        "%s, %s, %.1f s on %s",
        plural(facts.examples, "example"), plural(facts.tokens, "token"), facts.seconds,
        plural(facts.ranks, "rank"),
    )  # fmt: skip
    logger.info("topologies, measures and figures: %s", folder.path)
    if wandb_run is not None:
        logger.info("W&B run: %s", wandb_run)


def show(folder: RunFolder) -> None:
    """Show the summary table of a finished run, and draw the figures that it lacks.

    Raises
    ------
    UserError
        If one of its files is missing or corrupt.
    """
    run = folder.path
    topologies, records = load_topologies(run), read_measures(run)
    try:
        measured = [(t, Measures.from_record(records[t.name])) for t in topologies]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run / MEASURES} is corrupt ({error!r}); do the run again with overwrite=true"
        ) from None
    log_table(measured)
    log_hubs(read_hubs(run), topologies)
    config, manifest = folder.config.figures, read_manifest(run, "config", "files")
    same = files_that_look(manifest, config)
    present = [file for file in same if (run / file).is_file()]
    try:
        with workers_for(topologies, config) as workers:
            drawn = write_figures(run, measured, config, workers, present)
        if drawn:
            ends = endings(config)
            files = [png.with_suffix(f".{end}") for png in drawn.values() for end in ends]
            folder.add(files, DRAWN, look_of(config))
            what = "more figure" if len(same) == len(manifest["files"]) else "figure"
            logger.info("%s: %s", plural(len(drawn), what), run / FOLDER)
    except OSError as error:
        logger.warning("figures cannot be written (%s); the results are complete", error.strerror)
