"""Drive a sweep: record every job in its folder, and summarise the sweep at the end."""

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
from probe.sweep.jobs import UNFINISHED, Job, failed, make_folder, read_jobs, record_job, write_jobs
from probe.system.files import report_full_disk
from probe.system.logs import log_to_console

logger = logging.getLogger(__name__)
# Called with a job's overrides, its configuration and the name of the sweep.
Attempt = Callable[[list[str], DictConfig, str | None], Job]
# Makes Hydra call a function for every job, here or in other processes.
RunJobs = Callable[[Callable[[list[str], DictConfig], None]], None]
# Called after all jobs, with the sweep's folder and the configuration of its first job.
After = Callable[[Path, Any], None]


def run_sweep(
    configs: Sequence[Config],
    overrides: Sequence[str],
    run_jobs: RunJobs,
    attempt: Attempt,
    after: After | None,
) -> int:
    """Run every job of a sweep, summarise it, and return the exit code: 1 if any job failed.

    Parameters
    ----------
    configs : sequence of Config
        Configurations that together have every varied value, that of the first job first.
    overrides : sequence of str
        The command line.
    run_jobs : callable
        Makes Hydra call a function for every job.
    attempt : callable
        Does one job; the `Job` that it returns holds its outcome.
    after : callable, optional
        Called with the finished sweep.

    Raises
    ------
    UserError
        If jobs would share a folder, or the sweep's folder cannot be made.
    """
    from probe.sweep.one_pass import sharing  # NumPy, for which --help does not wait

    _refuse_shared_folders(configs)
    sweep_dirs = [
        str(OverridesParser.create().parse_override(word).value())
        for word in overrides
        if word.startswith("hydra.sweep.dir=")
    ]
    folder = make_folder(configs[0].output, sweep_dirs[-1] if sweep_dirs else None)
    # One folder for all jobs, even if `output` varies.
    sys.argv.append("hydra.sweep.dir='{}'".format(str(folder).replace("'", "\\'")))

    def run(words: list[str], composed: DictConfig) -> None:
        number = HydraConfig.get().job.num
        logger.info("run %d of the sweep: %s", number + 1, " ".join(words))
        # The job may run on another machine: the driver reads its outcome from these records.
        _record(folder, number, Job(words, error=UNFINISHED))
        _record(folder, number, attempt(words, composed, folder.name))

    code = 0
    try:
        with sharing(configs):
            run_jobs(run)
    except SystemExit as end:
        if end.code != 1:
            raise
        code = 1  # a launcher's failure or a full disk, already logged
    return max(code, _close(folder, configs[0], after))


def _refuse_shared_folders(configs: Sequence[Config]) -> None:
    """Reject jobs that differ only in measures: they share a run, which keeps those of one job."""
    measures: dict[Path, Any] = {}
    for config in configs:
        folder = run_folder(config)
        if measures.setdefault(folder, config.measures) != config.measures:
            raise UserError(
                f"jobs of the sweep differ only in measures.… and would share {folder}; give "
                "densities as a list in one run, e.g. 'measures.density=[0.05,0.3]', or vary "
                "output as well"
            )


def _record(folder: Path, number: int, job: Job) -> None:
    """Record a job, or end the sweep: the other jobs could not be recorded either."""
    try:
        with report_full_disk(folder):
            record_job(folder, number, job)
    except UserError as error:
        logger.error("probe: %s", error)
        raise SystemExit(1) from None


def _close(folder: Path, config: Config, after: After | None) -> int:
    log_to_console()  # not set up yet if no job ran in this process
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
        logger.exception("probe: the sweep could not be summarised: %s", error)
        code = 1
    failures = failed(jobs)
    if len(failures) > 1:
        names = "; ".join(" ".join(job.overrides) for job in failures)
        logger.error("probe: %d runs of the sweep failed: %s", len(failures), names)
    return 1 if failures else code
