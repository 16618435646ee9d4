"""`python -m probe.compare`: set the topologies of finished runs beside each other."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from probe.errors import UserError
from probe.system.logs import log_to_console

_ABOUT = """\
Compares all topologies of the given runs, two at a time.

Where neurons correspond (one model, its revisions and copies included; one initialisation; one
site, and one layer for site=mlp): correlation and root mean square difference of the entries, the
neuron pairs that differ most, and the share of hubs in common, against relabelled neurons.
Everywhere: measures.
"""
_EXAMPLES = """\
examples
  python -m probe.compare outputs/tiny/sample/each-mean-8c1a0e52
      the layers of one run
  python -m probe.compare outputs/pythia160m/openwebtext/*
      the steps of a training, each a run with model.revision=step1000, step2000, …
  python -m probe.compare outputs/tiny/sample/all-mean-*
      one mean over layers of pretrained and of random weights: their measures

files
  comparison.csv    a row for every two topologies; relative_… is (b - a)/max(|a|, |b|)
  differences.csv   the ten neuron pairs that differ most, of every two whose neurons match
  measures.csv      a row for every topology; half_difference_… is the noise of a measure
  comparison.png    correlations of entries and hubs in common, where any neurons match
  beside.png        heat maps and histograms, of up to four topologies
"""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help shows how it is called")


def main(words: Sequence[str] | None = None) -> int:
    """Compare, write and show; return the exit code."""
    try:
        _compare(_read(words))
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("probe: interrupted\n")
        return 130
    return 0


def _compare(given: Namespace) -> None:
    from probe.compare import compare, load_items
    from probe.compare.report import default_folder, show, write

    log_to_console()
    options = {"permutations": given.permutations, "seed": given.seed, "ranks": given.spearman}
    items = load_items(given.runs)
    folder = given.output or default_folder(items, options)
    comparison = compare(items, **options)
    write(comparison, folder)
    show(comparison)
    logging.getLogger(__name__).info("tables and figures: %s", folder)


def _read(words: Sequence[str] | None) -> Namespace:
    parser = _Parser(
        prog="python -m probe.compare",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folder of a finished run")
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="where to write (default: outputs/compare/<8 hex of runs and options>)",
    )  # fmt: skip
    parser.add_argument(
        "--permutations", type=int, default=1000, metavar="N",
        help="random relabellings that the hubs in common are compared with (default: 1000)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of them (default: 0)")
    parser.add_argument(
        "--spearman", action="store_true", help="also correlate the entries by rank (slower)"
    )
    given = parser.parse_args(words)
    for name, least in (("permutations", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise UserError(f"--{name} {getattr(given, name)} is too small; give {least} or more")
    return given


if __name__ == "__main__":
    sys.exit(main())
