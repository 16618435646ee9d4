"""The way into every program: help, checks, Hydra, signals, exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from probe.cli import compose_config, help_page, read_arguments, typed
from probe.cli.arguments import Arguments
from probe.config import CONF, Config, registered
from probe.errors import RankError, UserError

logger = logging.getLogger(__name__)
_INTERRUPTED, _TERMINATED = 130, 143
# Called with the configuration, its overrides, and the sweep it belongs to.
Task = Callable[[Any, list[str], str | None], object]


def enter(
    task: Task,
    schema: type[Config] = Config,
    program: str = "python -m probe",
    about: str | None = None,
) -> NoReturn:
    """Run a task for the command line and exit: 0, 1 after a mistake, 130 and 143 on signals.

    Parameters
    ----------
    task : callable
        What to do with each configuration.
    schema : type
        `Config`, or a dataclass that adds to it.
    program, about : str
        How the program is called and what it does, for its help page.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _lead(task, schema, program, about)
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        code = 1
    except KeyboardInterrupt:
        sys.stderr.write("probe: interrupted\n")
        code = _INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from probe.distributed import release

        if code in (_INTERRUPTED, _TERMINATED):
            # The followers may be anywhere: only the end of this process ends them, too.
            sys.stderr.flush()
            os._exit(code)
        release()
    sys.exit(code)


def _lead(task: Task, schema: type[Config], program: str, about: str | None) -> int:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from probe.distributed import follow, follows

        if follows():
            follow()
            os._exit(0)
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(help_page(schema, program, about) + "\n")
        return 0
    arguments = read_arguments(sys.argv[1:], schema)
    for job in arguments.jobs:
        compose_config(job, schema, arguments.flags.config_dir)
    return _run_hydra(task, schema, arguments)


def _run_hydra(task: Task, schema: type[Config], arguments: Arguments) -> int:
    """Let Hydra run the task, once or in a sweep, and count the runs that failed."""
    driver = os.getpid()
    failures: list[str] = []

    def job(composed: DictConfig) -> None:
        settings = HydraConfig.get()
        sweep = settings.sweep.dir if settings.mode is RunMode.MULTIRUN else None
        given = list(settings.overrides.task)
        if sweep:
            logger.info("run %d of the sweep: %s", settings.job.num + 1, " ".join(given))
        try:
            task(typed(composed, schema), given, Path(sweep).name if sweep else None)
        except Exception as error:
            if isinstance(error, UserError | RankError):
                logger.error("probe: %s", error)
            else:
                logger.exception("probe: %s failed: %s", " ".join(given) or "the run", error)
            failures.append(" ".join(given))
            # Another process, of a joblib or submitit launcher, has no other way to say so.
            if os.getpid() != driver:
                raise

    # Hydra reads the command line itself; it gets the one with layer numbers written out.
    sys.argv[1:] = [*_flag_words(arguments.flags), *arguments.overrides]
    with registered(schema):
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    if failures and len(failures) > 1:
        logger.error("probe: %d runs of the sweep failed: %s", len(failures), "; ".join(failures))
    return 1 if failures else 0


def _flag_words(flags: Namespace) -> list[str]:
    """Write Hydra's own flags as a command line again."""
    given = {name.replace("_", "-"): value for name, value in vars(flags).items()}
    del given["overrides"]
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in given.items()
        if value
    ]


def _terminate(*_: object) -> None:
    raise SystemExit(_TERMINATED)
