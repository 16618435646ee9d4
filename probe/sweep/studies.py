"""One table over the jobs of a study's sweep: the headline numbers of each."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.config import Config, leaves
from probe.errors import UserError
from probe.runs.manifest import read_manifest
from probe.sweep.conclusion import conclude
from probe.sweep.jobs import Job, read_jobs, varied
from probe.system.tables import aligned, write_csv

logger = logging.getLogger(__name__)
# Numbers in the table on the console; the file has all.
_SHOWN = 6


def summarise_studies(sweep: Path, config: Config) -> None:
    """Write the headline numbers of all jobs to `summary.csv`, to the console and to W&B.

    Parameters
    ----------
    sweep : Path
        Folder with the records of the jobs.
    config : Config
        Configuration of one of its jobs, for the tracking options.
    """
    jobs = read_jobs(sweep)
    keys = varied(jobs)
    rows = [*_rows(jobs, keys)]
    if not rows:
        logger.warning("no study of the sweep is finished, so there is no summary")
        return
    write_csv(sweep / "summary.csv", rows)
    names = list(dict.fromkeys(name for row in rows for name in row if name not in (*keys, "run")))
    cells = [
        [str(row.get(key, "")) for key in keys] + [_short(row.get(name)) for name in names[:_SHOWN]]
        for row in rows
    ]
    for line in aligned([*keys, *names[:_SHOWN]], cells):
        logger.info("%s", line)
    if len(names) > _SHOWN:
        logger.info("%d more numbers are in summary.csv", len(names) - _SHOWN)
    conclude(sweep, config, jobs, keys, rows, {}, "studies")


def _rows(jobs: Sequence[Job], keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for job in jobs:
        if job.run is None:
            continue
        try:
            manifest = read_manifest(Path(job.run), "study")
        except UserError as error:
            logger.warning("%s is not in the summary: %s", job.run, error)
            continue
        yield {
            **{key: job.values.get(key, "") for key in keys},
            "run": job.run,
            **headline(manifest),
        }


def headline(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Return the headline numbers of a study, by name.

    Examples
    --------
    >>> headline({"study": "mine", "headline": {"auc": 0.7, "of": {"layer 3": 0.6}}})
    {'auc': 0.7, 'of.layer 3': 0.6}
    """
    return {
        name: value
        for name, value in leaves(manifest.get("headline", {}))
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
