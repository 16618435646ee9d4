"""One row for each topology of each job of a sweep."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import read_numbers
from probe.sweep.jobs import Job

logger = logging.getLogger(__name__)
Row = dict[str, Any]


def sweep_rows(jobs: Sequence[Job], varied: Sequence[str]) -> list[Row]:
    """Read the measures of all jobs.

    Returns
    -------
    list of dict
        For each topology the values of the varied overrides, then `run`, `topology`, `layer`,
        `part`, and its measures.
    """
    rows: list[Row] = []
    for job in jobs:
        if job.run is None:
            continue
        try:
            rows += _rows(job, varied)
        except (UserError, OSError) as error:
            logger.warning("%s is not in the summary: %s", job.run, error)
    return rows


def _rows(job: Job, varied: Sequence[str]) -> Iterator[Row]:
    run = Path(job.run or "")
    numbers = read_numbers(run)
    records = read_manifest(run, "topologies")["topologies"]
    for record in records:
        row: Row = {key: job.values.get(key, "") for key in varied}
        layer = record["layers"][0] if len(record["layers"]) == 1 else None
        row |= {"run": job.run, "topology": record["name"], "layer": layer, "part": record["part"]}
        yield row | numbers[record["name"]]
