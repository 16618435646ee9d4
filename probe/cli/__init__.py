"""The command line: the help page, and one-sentence errors before Hydra starts."""

from collections.abc import Sequence

from probe.cli.arguments import read_arguments
from probe.cli.compose import compose_config, compose_jobs, typed
from probe.cli.frame import Frame
from probe.cli.help import help_page
from probe.cli.overlay import overlay
from probe.cli.rerun_flag import split_rerun
from probe.config import Config
from probe.errors import UserError


def compose_job(
    overrides: Sequence[str], schema: type[Config] = Config, frame: Frame | None = None
) -> Config:
    """Compose a single run from the words of a command line.

    Raises
    ------
    UserError
        If a word is mistyped, a value cannot work, or the words make a sweep.
    """
    arguments = read_arguments(overrides, schema, frame)
    if len(arguments.jobs) != 1:
        raise UserError("these overrides are a sweep; give those of a single run")
    return compose_jobs(arguments, schema)[0]
