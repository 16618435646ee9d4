"""What the small commands (compare, report, verify) share: help page, mistakes, exit code."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import NoReturn

from probe.errors import UserError
from probe.system.importing import draw_offscreen

INTERRUPTED = 130


class Parser(ArgumentParser):
    """A parser that raises `UserError` for a mistake, and shows its texts as they are written."""

    def __init__(self, command: str, about: str, examples: str) -> None:
        super().__init__(
            prog=command, description=about, epilog=examples,
            formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UserError(f"{message}; --help shows the usage")


def exit_code(command: Callable[[], int], mistake: int = 1) -> int:
    """Run a command; return its exit code, or that of a mistake or an interruption after a line."""
    draw_offscreen()
    try:
        return command()
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        return mistake
    except KeyboardInterrupt:
        sys.stderr.write("probe: interrupted\n")
        return INTERRUPTED
