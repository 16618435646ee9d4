"""Entry point of every program: help, checks, Hydra, signals, exit code."""

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from probe import __version__
from probe.cli import Frame, compose_jobs, help_page, read_arguments, split_rerun, typed
from probe.config import CONF, Config, registered, run_folder
from probe.early import begun
from probe.errors import RankError, UserError
from probe.sweep.drive import After, run_sweep
from probe.sweep.jobs import Job, failed
from probe.system.importing import draw_offscreen
from probe.system.kept import keeping
from probe.system.logs import log_to_console
from probe.system.secrets import hide

logger = logging.getLogger(__name__)
_INTERRUPTED, _TERMINATED = 130, 143
# Called with the words of a job and what Hydra makes of them.
_HydraJob: TypeAlias = Callable[[list[str], DictConfig], None]
# Called with the configuration, its overrides, and the name of the sweep it belongs to.
# If it returns a `Path`, that is the run's folder, which a sweep records.
Task = Callable[[Any, list[str], str | None], object]


@dataclass(frozen=True)
class Program:
    """A program with a command line.

    Attributes
    ----------
    task : callable
        Called with each configuration.
    schema : type
        `Config`, or a dataclass that extends it.
    command, about : str
        Command and description, for the help page.
    after : callable, optional
        Called with a finished sweep, even if some of its jobs failed.
    frame : Frame
        What of the configuration it reads, and where it starts from.
    folder : callable
        Returns the folder of a configuration's results.
    resumes : bool
        Whether the same command goes on with what was interrupted.
    """

    task: Task
    schema: type[Config] = Config
    command: str = "python -m probe"
    about: str | None = None
    after: After | None = None
    frame: Frame = field(default_factory=Frame)
    folder: Callable[[Any], Path] = run_folder
    resumes: bool = True

    @property
    def again(self) -> str:
        """What the same command does after an interruption."""
        return f"the same command {'resumes it' if self.resumes else 'starts it again'}"


def enter(program: Program) -> NoReturn:
    """Run a program from the command line and exit: 0, 1 after an error, 130 or 143 on signals."""
    signal.signal(signal.SIGTERM, _terminate)
    draw_offscreen()
    try:
        begun()
        code = _lead(program)
    except UserError as error:
        sys.stderr.write(hide(f"probe: {error}\n"))
        code = 1
    except KeyboardInterrupt:
        sys.stderr.write(f"probe: interrupted; {program.again}\n")
        code = _INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if code == _TERMINATED:
            sys.stderr.write(f"probe: terminated; {program.again}\n")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from probe.distributed import release

        if code in (_INTERRUPTED, _TERMINATED):
            # The followers may be anywhere; only the end of this process makes them end.
            sys.stderr.flush()
            os._exit(code)
        release()
    sys.exit(code)


def _lead(program: Program) -> int:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from probe.distributed import follow, follows

        if follows():
            sweep = {"-m", "--multirun"} & set(sys.argv[1:])
            with keeping() if sweep else nullcontext():
                follow()
            os._exit(0)
    schema, frame = program.schema, program.frame
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(help_page(schema, program.command, program.about, frame) + "\n")
        return 0
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"probe {__version__}\n")
        return 0
    repeated = split_rerun(sys.argv[1:])
    if repeated is not None:
        return _repeat(program, *repeated)
    arguments = read_arguments(sys.argv[1:], schema, frame)
    flags = arguments.flags
    configs = compose_jobs(arguments, schema)
    # Hydra reads sys.argv itself: it gets the overrides with layer numbers expanded.
    sys.argv[1:] = [*_flag_words(flags), *arguments.overrides]

    def run_jobs(job: _HydraJob) -> None:
        _run_hydra(schema, lambda words, composed: job(arguments.as_typed(words), composed))

    attempt = partial(_attempt, program)
    if flags.multirun and not flags.shell_completion:
        return run_sweep(configs, arguments.overrides, run_jobs, attempt, program.after)
    attempts: list[Job] = []
    run_jobs(lambda words, composed: attempts.append(attempt(words, composed, None)))
    return 1 if failed(attempts) else 0


def _repeat(program: Program, run: Path, words: list[str]) -> int:
    """Do a finished run or study again in another folder, and compare the two."""
    from probe.runs.repeated import compare_runs, compare_studies  # NumPy
    from probe.runs.rerun import rerun_config

    config = rerun_config(run, words, program.schema, program.command, program.folder)
    program.frame.refuse([word.partition("=")[0] for word in words])
    log_to_console()
    job = _attempt(program, words, OmegaConf.structured(config), None)
    compare = compare_runs if program.schema is Config else compare_studies
    return 0 if job.run is not None and compare(run, Path(job.run)) else 1


def _run_hydra(schema: type[Config], job: _HydraJob) -> None:
    """Make Hydra compose and call a job, once or for every combination of a sweep."""

    def call(composed: DictConfig) -> None:
        job(list(HydraConfig.get().overrides.task), composed)

    with registered(schema):
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(call)()


def _attempt(
    program: Program, overrides: list[str], composed: DictConfig, group: str | None
) -> Job:
    """Do one job; log the error that ends it, if any."""
    try:
        folder = program.task(typed(composed, program.schema), overrides, group)
    except Exception as error:
        if isinstance(error, UserError | RankError):
            logger.error("probe: %s", error)
        else:
            logger.exception("probe: %s failed: %s", " ".join(overrides) or "the run", error)
        return Job(overrides, error=hide(str(error)) or type(error).__name__)
    return Job(overrides, run=str(folder) if isinstance(folder, Path) else None)


def _flag_words(flags: Namespace) -> list[str]:
    """Format Hydra's own flags as command-line words."""
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in vars(flags).items()
        if value and name != "overrides"
    ]


def _terminate(*_: object) -> None:
    raise SystemExit(_TERMINATED)
