"""`python -m probe.report FOLDER`: a page that can be read, printed and sent by itself."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from probe.errors import UserError
from probe.report.page import write_report

_ABOUT = """\
Writes one HTML page of a finished run or sweep: summary numbers and how to read them, figures,
the measures of every topology in sortable tables, hubs, configuration and provenance. The page
holds everything it shows, asks the network for nothing, and changes no file of the run.
"""
_EXAMPLES = """\
examples:
  python -m probe.report outputs/tiny/sample/all-mean-d9db54a3
  python -m probe.report outputs/.sweeps/2026-11-20_21-55-00 --output sweep.html
"""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Word a mistake as the main program does."""
        raise UserError(f"{message}; --help says how it is called")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page that the command line asks for, and return the exit code: 0, or 1."""
    parser = _Parser(
        prog="python -m probe.report", description=_ABOUT, epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, help="folder of a run, or of a sweep")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="page to write (default: FOLDER/report.html)"
    )
    try:
        given = parser.parse_args(arguments)
        page = write_report(given.folder, given.output)
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        return 1
    sys.stdout.write(f"{page} ({page.stat().st_size / 1e6:.1f} MB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
