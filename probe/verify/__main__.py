"""`python -m probe.verify RUN…`: check the integrity of finished runs, one line per fault."""

import sys
from collections.abc import Sequence
from pathlib import Path

from probe.system.commands import Parser, exit_code
from probe.verify.run import runs_of, verify

_ABOUT = """\
Checks finished runs; reads every file completely and changes none:

manifest   its own sha256, format and keys; sha256 of every file; files that it does not list
matrices   shape and type; finite; in [-1, 1]; symmetric with a diagonal of 1, zeros for
           undefined neurons (kind cross: range and undefined neurons); standard errors
numbers    examples and tokens over the parts, layers, halves and nulls; measures.json and
           measures_by_layer.csv against the matrices

Of a study, manifest and files are checked.
"""
_EXAMPLES = """\
examples:
  python -m probe.verify outputs/tiny/sample/all-mean-2750e006
  python -m probe.verify outputs/*/*/* outputs/.sweeps/2026-11-20_21-55-00

exit code: 0 all runs are intact, 1 there are faults, 2 the command line is wrong
"""
_FAULTY, _USAGE = 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Check the runs that the command line names, report on each, and return the exit code."""
    parser = Parser("python -m probe.verify", _ABOUT, _EXAMPLES)
    parser.add_argument(
        "folders", metavar="RUN", nargs="+", type=Path, help="folder of a run or a sweep"
    )

    def check() -> int:
        runs = [run for folder in parser.parse_args(words).folders for run in runs_of(folder)]
        return _FAULTY if sum(_check(run) for run in dict.fromkeys(runs)) else 0

    return exit_code(check, mistake=_USAGE)


def _check(run: Path) -> int:
    """Check one run and write what was found; return the number of its faults."""
    findings = verify(run)
    lines = [*findings.faults, *(f"note: {note}" for note in findings.notes)]
    if not findings.faults:
        lines.insert(0, f"OK: {findings.checked}")
    sys.stdout.write("".join(f"{run}: {line}\n" for line in lines))
    sys.stdout.flush()
    return len(findings.faults)


if __name__ == "__main__":
    sys.exit(main())
