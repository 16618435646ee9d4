"""The end of a sweep's summary: failures, where it is, and its record in W&B."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probe.config import Config
from probe.sweep.jobs import Job, failed
from probe.tracking import SweepRecord, track_sweep

logger = logging.getLogger(__name__)


def conclude(
    sweep: Path,
    config: Config,
    jobs: Sequence[Job],
    keys: Sequence[str],
    rows: list[dict[str, Any]],
    images: dict[str, Path],
    what: str,
) -> None:
    """Log how many jobs the summary covers and where it is, and record it in W&B.

    Parameters
    ----------
    sweep : Path
        Folder with the records of the jobs.
    config : Config
        Configuration of one of its jobs, for the tracking options.
    jobs : sequence of Job
        All jobs.
    keys : sequence of str
        What varies between them.
    rows : list of dict
        The summary.
    images : dict of str to Path
        Figures by name.
    what : str
        What a job is, in the plural.
    """
    failures = len(failed(jobs))
    if failures:
        logger.warning(
            "%d of %d %s succeeded; the summary covers these",
            len(jobs) - failures, len(jobs), what,
        )  # fmt: skip
    logger.info("summary of the sweep: %s", sweep)
    values = {key: list(dict.fromkeys(job.values.get(key, "") for job in jobs)) for key in keys}
    facts = {"jobs": len(jobs), "failed": failures}
    where = track_sweep(config, sweep, SweepRecord(sweep.name, rows, values, images, facts))
    if where is not None:
        logger.info("W&B run of the summary: %s", where)
