"""`python -m probe.compare`: compare the topologies of finished runs."""

import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from probe.errors import UserError
from probe.system.commands import Parser, exit_code
from probe.system.logs import log_to_console

_ABOUT = """\
Compares every two topologies of the given runs.

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
      steps of one training, each a run with model.revision=step1000, step2000, …
  python -m probe.compare outputs/tiny/sample/all-mean-*
      the mean over layers of pretrained and of random weights, by their measures

files
  comparison.csv    one row per pair of topologies; relative_… is (b - a)/max(|a|, |b|)
  differences.csv   the ten neuron pairs that differ most, where neurons correspond
  measures.csv      one row per topology; half_difference_… is the noise of a measure
  comparison.png    correlations of entries and hubs in common, where neurons correspond
  beside.png        heat maps and histograms side by side, of up to four topologies
"""


def main(words: Sequence[str] | None = None) -> int:
    """Compare, write and show; return the exit code."""
    return exit_code(lambda: _compare(_read(words)))


def _compare(arguments: Namespace) -> int:
    from probe.compare import compare, load_items
    from probe.compare.report import default_folder, show, write

    log_to_console()
    permutations, seed, ranks = arguments.permutations, arguments.seed, arguments.spearman
    options = {"permutations": permutations, "seed": seed, "ranks": ranks}
    items = load_items(arguments.runs)
    folder = arguments.output or default_folder(items, options)
    comparison = compare(items, **options)
    write(comparison, folder)
    show(comparison)
    logging.getLogger(__name__).info("tables and figures: %s", folder)
    return 0


def _read(words: Sequence[str] | None) -> Namespace:
    parser = Parser("python -m probe.compare", _ABOUT, _EXAMPLES)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folder of a finished run")
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="where to write (default: outputs/compare/<hash of runs and options>)",
    )  # fmt: skip
    parser.add_argument(
        "--permutations", type=int, default=1000, metavar="N",
        help="random relabellings, the null model of hubs in common (default: 1000)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the relabellings (default: 0)"
    )
    parser.add_argument(
        "--spearman", action="store_true", help="also correlate the ranks of the entries (slower)"
    )
    arguments = parser.parse_args(words)
    for name, least in (("permutations", 1), ("seed", 0)):
        value = getattr(arguments, name)
        if value < least:
            raise UserError(f"--{name} {value} is too small; give {least} or more")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
