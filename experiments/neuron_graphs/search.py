"""`python -m experiments.neuron_graphs.search RUN`: find neurons by the tokens of their graphs."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from experiments.neuron_graphs import public
from experiments.neuron_graphs.console import number, open_run, run, say, summary, table
from experiments.neuron_graphs.finding import Term, find
from experiments.neuron_graphs.roles import ACTIVATING, CONTEXT
from probe.api import UserError, plural
from probe.api.commands import Parser

_ABOUT = """\
Finds the neurons whose graphs have all the given tokens, the best graph first.

A token is activating if the neuron fires on it, and context if the neuron needs it before that.
Spaces around a token and its case do not count. Without tokens all neurons are listed.
"""
_EXAMPLES = """\
examples
  python -m experiments.neuron_graphs.search RUN --activating cat --context the --min-f1 0.5
  python -m experiments.neuron_graphs.search RUN --repeats
      neurons with tokens that are both activating and context: they fire where one comes again
  python -m experiments.neuron_graphs.search RUN --polysemantic --token $'\\n'
      graphs in several pieces that have a newline
  python -m experiments.neuron_graphs.search neuron_store.json --activating cat
      in a public file of neuron graphs (Foote et al. 2023)
  python -m experiments.neuron_graphs.search RUN --export neuron_store.json
"""


def main(words: Sequence[str] | None = None) -> int:
    """Search and show; return the exit code."""
    return run(lambda: _search(_read(words)))


def _search(arguments: Namespace) -> int:
    with open_run(arguments.run) as store:
        if arguments.export is not None:
            left_out = public.export(store, arguments.export)
            note = f"; {plural(left_out, 'unit')} of negative activations left out"
            say([f"{arguments.export}{note if left_out else ''}"])
            return 0
        asked = (
            (ACTIVATING, arguments.activating), (CONTEXT, arguments.context),
            (None, arguments.token),
        )  # fmt: skip
        terms = [Term(token, role) for role, tokens in asked for token in tokens]
        found = find(store, terms, arguments.min_f1, arguments.repeats, arguments.polysemantic)
        shown = found[: arguments.most]
        rows = [
            [
                str(each.unit), number(each.f1), number(each.components, 0), str(each.repeats),
                str(each.tokens), summary(store, each.number),
            ]
            for each in shown
        ]  # fmt: skip
        say(table(["unit", "F1", "pieces", "repeats", "tokens", "fires on ← behind"], rows))
        rest = len(found) - len(shown)
        say([f"{plural(len(found), 'unit')}{f'; --most {len(found)} shows all' if rest else ''}"])
    return 0


def _read(words: Sequence[str] | None) -> Namespace:
    parser = Parser("python -m experiments.neuron_graphs.search", _ABOUT, _EXAMPLES)
    parser.add_argument(
        "run", metavar="RUN", type=Path, help="folder of a study, or a public JSON file"
    )
    for name, meaning in (
        ("activating", "the neuron fires on it"),
        ("context", "the neuron needs it before"),
        ("token", "in either role"),
    ):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="TOKEN",
            help=f"{meaning}; give it again for more, all of which are needed",
        )  # fmt: skip
    parser.add_argument(
        "--min-f1", type=float, metavar="F1", help="least F1 of the graph on held-out texts"
    )
    parser.add_argument(
        "--repeats", action="store_true", help="only with tokens that are both; most of them first"
    )
    parser.add_argument("--polysemantic", action="store_true", help="only graphs in several pieces")
    parser.add_argument(
        "--most", type=int, default=20, metavar="N", help="neurons to show (default: 20)"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write the public JSON of all neurons instead"
    )
    arguments = parser.parse_args(words)
    if arguments.min_f1 is not None and not 0 <= arguments.min_f1 <= 1:
        raise UserError(f"--min-f1 {arguments.min_f1:g} is no F1; give a number from 0 to 1")
    if arguments.most < 1:
        raise UserError(f"--most {arguments.most} is too small; give 1 or more")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
