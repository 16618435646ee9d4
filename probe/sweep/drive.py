"""Drive a sweep: have every job recorded in its folder, and sum it up when all are done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from probe.config import Config, run_folder
from probe.errors import UserError
from probe.sweep.jobs import (
    UNFINISHED,
    Job,
    failed,
    make_folder,
    read_jobs,
    record_job,
    write_jobs,
)
from probe.system.disk import report_full_disk
from probe.system.logs import log_to_console

logger = logging.getLogger(__name__)
# Called with the command line of a job, its configuration, and the sweep's name.
Attempt = Callable[[list[str], DictConfig, str | None], Job]
# Lets Hydra call a function for every job, here or in other processes.
RunJobs = Callable[[Callable[[list[str], DictConfig], None]], None]
# Called with a sweep's folder and the configuration of its first job, when all jobs are done.
After = Callable[[Path, Any], None]


def run_sweep(
    configs: Sequence[Config],
    overrides: Sequence[str],
    run_jobs: RunJobs,
    attempt: Attempt,
    after: After | None,
) -> int:
    """Run every job of a sweep, sum it up, and return the exit code: 1 if any job failed.

    Parameters
    ----------
    configs : sequence of Config
        Configurations that together have every value of every sweep, that of a first job first.
    overrides : sequence of str
        The command line.
    run_jobs : callable
        Lets Hydra call a function for every job.
    attempt : callable
        Does one job; what ends it is in the `Job` that it returns.
    after : callable, optional
        What to do with the sweep when it has come to its end.

    Raises
    ------
    UserError
        If jobs would share a folder, or the sweep's own cannot be made.
    """
    _refuse_shared_folders(configs)
    sweep_dirs = [
        str(OverridesParser.create().parse_override(word).value())
        for word in overrides
        if word.startswith("hydra.sweep.dir=")
    ]
    folder = make_folder(configs[0].output, sweep_dirs[-1] if sweep_dirs else None)
    # One folder for all jobs, where `output` varies, too.
    sys.argv.append("hydra.sweep.dir='{}'".format(str(folder).replace("'", "\\'")))

    def run(words: list[str], composed: DictConfig) -> None:
        number = HydraConfig.get().job.num
        logger.info("run %d of the sweep: %s", number + 1, " ".join(words))
        # The job may be on another machine: the driver reads its fate from here.
        _record(folder, number, Job(words, error=UNFINISHED))
        _record(folder, number, attempt(words, composed, folder.name))

    code = 0
    try:
        run_jobs(run)
    except SystemExit as end:
        if end.code != 1:
            raise
        code = 1  # a launcher's failure or a full disk, which has been logged
    return max(code, _close(folder, configs[0], after))


def _refuse_shared_folders(configs: Sequence[Config]) -> None:
    """Refuse jobs that would do the same run with other measures: it keeps those of one."""
    measures: dict[Path, Any] = {}
    for config in configs:
        folder = run_folder(config)
        if measures.setdefault(folder, config.measures) != config.measures:
            raise UserError(
                f"jobs of the sweep differ in measures.… alone and would share {folder}; give "
                "densities as a list in one run, e.g. 'measures.density=[0.05,0.3]', or sweep "
                "output, too"
            )


def _record(folder: Path, number: int, job: Job) -> None:
    """Record a job, or end the sweep: nobody would know what became of the others, either."""
    try:
        with report_full_disk(folder):
            record_job(folder, number, job)
    except UserError as error:
        logger.error("probe: %s", error)
        raise SystemExit(1) from None


def _close(folder: Path, config: Config, after: After | None) -> int:
    log_to_console()  # where no job has run in this process, nothing has been set up
    jobs = read_jobs(folder)
    code = 0
    try:
        with report_full_disk(folder):
            write_jobs(folder, jobs)
            if after is not None:
                after(folder, config)
    except UserError as error:
        logger.error("probe: %s", error)
        code = 1
    except Exception as error:
        logger.exception("probe: the sweep could not be summed up: %s", error)
        code = 1
    failures = failed(jobs)
    if len(failures) > 1:
        names = "; ".join(" ".join(job.overrides) for job in failures)
        logger.error("probe: %d runs of the sweep failed: %s", len(failures), names)
    return 1 if failures else code
