"""`python -m probe.verify RUN…`: one line for a run that is whole, else one line a fault."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from probe.errors import UserError
from probe.verify.run import runs_of, verify

_ABOUT = """\
Checks finished runs; every file is read whole and none is changed:

manifest   its own sha256, format and keys; sha256 of every file; files that it does not list
matrices   shape and type; finite; in [-1, 1]; symmetric with a diagonal of 1, zeros for
           undefined neurons (kind cross: range and undefined neurons); standard errors
numbers    examples and tokens over the parts, layers, halves and nulls; measures.json and
           measures_by_layer.csv against the matrices
"""
_EXAMPLES = """\
examples:
  python -m probe.verify outputs/tiny/sample/all-mean-2750e006
  python -m probe.verify outputs/*/*/* outputs/.sweeps/2026-11-20_21-55-00

exit code: 0 all runs are whole, 1 there are faults, 2 the command line is wrong
"""
_FAULTY, _USAGE, _INTERRUPTED = 1, 2, 130


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Word a mistake as the main program does."""
        raise UserError(f"{message}; --help says how it is called")


def main(words: Sequence[str] | None = None) -> int:
    """Check the runs that the command line names, say what was found, and return the exit code."""
    parser = _Parser(
        prog="python -m probe.verify", description=_ABOUT, epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "folders", metavar="RUN", nargs="+", type=Path, help="folder of a run, or of a sweep"
    )
    try:
        runs = [run for folder in parser.parse_args(words).folders for run in runs_of(folder)]
        return _FAULTY if sum(_check(run) for run in dict.fromkeys(runs)) else 0
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        return _USAGE
    except KeyboardInterrupt:
        sys.stderr.write("probe: interrupted\n")
        return _INTERRUPTED


def _check(run: Path) -> int:
    """Check one run and say what was found; return the number of its faults."""
    found = verify(run)
    lines = [*found.faults, *(f"note: {note}" for note in found.notes)]
    if not found.faults:
        lines.insert(0, f"whole: {found.checked}")
    sys.stdout.write("".join(f"{run}: {line}\n" for line in lines))
    sys.stdout.flush()
    return len(found.faults)


if __name__ == "__main__":
    sys.exit(main())
