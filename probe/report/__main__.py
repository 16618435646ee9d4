"""`python -m probe.report FOLDER`: one HTML page of a run, a study or a sweep."""

import sys
from collections.abc import Sequence
from pathlib import Path

from probe.report.page import write_report
from probe.system.commands import Parser, exit_code

_ABOUT = """\
Writes one HTML page of a finished run or sweep: summary numbers and how to read them, figures,
sortable tables of the measures of every topology, hubs, configuration and provenance; of a study
its facts, figures and tables. The page is self-contained and needs no network; no file of the run
is changed.
"""
_EXAMPLES = """\
examples:
  python -m probe.report outputs/tiny/sample/all-mean-d9db54a3
  python -m probe.report outputs/.sweeps/2026-11-20_21-55-00 --output sweep.html
"""


def main(words: Sequence[str] | None = None) -> int:
    """Write the page that the command line asks for; return the exit code, 0 or 1."""
    parser = Parser("python -m probe.report", _ABOUT, _EXAMPLES)
    parser.add_argument("folder", type=Path, help="folder of a run, a study or a sweep")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="page to write (default: FOLDER/report.html)"
    )

    def report() -> int:
        arguments = parser.parse_args(words)
        page = write_report(arguments.folder, arguments.output)
        sys.stdout.write(f"{page} ({page.stat().st_size / 1e6:.1f} MB)\n")
        return 0

    return exit_code(report)


if __name__ == "__main__":
    sys.exit(main())
