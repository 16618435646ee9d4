"""`python -m experiments.neuron_graphs.similar RUN 3:17`: which neurons are like this one."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.neuron_graphs.behaviour import Firings, agreement
from experiments.neuron_graphs.console import number, run, say, summary, table
from experiments.neuron_graphs.database import locate
from experiments.neuron_graphs.roles import ACTIVATING, CONTEXT
from experiments.neuron_graphs.similarity import overlaps, token_sets
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, plural
from probe.api.commands import Parser

_ABOUT = """\
Shows the neurons that are most like one neuron.

By structure: the overlap of the tokens of both graphs, |A and B| / max(|A|, |B|), in each role.
By firing: the F1 between where both graphs fire on the texts of the study. Only neurons that share
an activating token are compared, as others never fire together.
"""
_EXAMPLES = """\
examples
  python -m experiments.neuron_graphs.similar RUN 3:17
  python -m experiments.neuron_graphs.similar RUN 3:17- --by firing --most 5
      3:17- is neuron 17 of layer 3 by its negative activations
"""
# Where more units share an activating token, firing is compared for those most alike by structure.
_COMPARED = 200


def main(words: Sequence[str] | None = None) -> int:
    """Compare and show; return the exit code."""
    return run(lambda: _similar(_read(words)))


def _similar(arguments: Namespace) -> int:
    with Store.read(locate(arguments.run)) as store:
        graph = store.record(arguments.unit).graph
        tokens = token_sets(store)
        if graph is None or arguments.unit not in tokens.units:
            raise UserError(f"unit {arguments.unit} has no graph with tokens; search lists those")
        place = tokens.units.index(arguments.unit)
        overlap = overlaps(tokens, place)
        least = np.minimum(overlap[ACTIVATING], overlap[CONTEXT])
        total = overlap[ACTIVATING] + overlap[CONTEXT]
        others = np.flatnonzero(overlap[ACTIVATING] > 0)
        others = others[others != place]
        others = others[np.lexsort((others, -total[others], -least[others]))]
        compared, firings = others[:_COMPARED], Firings(store)
        own, firing = firings.of(graph), {}
        for each in tqdm(compared, desc="firing", disable=None, leave=False, delay=2):
            other = store.record(tokens.units[each]).graph
            assert other is not None, "only units with graphs have tokens"
            firing[each] = agreement(own, firings.of(other))
        if arguments.by == "firing":
            compared = sorted(compared, key=lambda each: -np.nan_to_num(firing[each], nan=-1.0))
        rows = [
            [
                str(tokens.units[each]), number(overlap[ACTIVATING][each]),
                number(overlap[CONTEXT][each]), number(firing[each]),
                summary(store, int(tokens.numbers[each])),
            ]
            for each in compared[: arguments.most]
        ]  # fmt: skip
        say(table(["unit", "activating", "context", "firing", "fires on ← behind"], rows))
        n_tokens = int((firings.tokens >= 0).sum())
        more = f"; firing is compared for the {_COMPARED} most alike by structure"
        say([
            f"{plural(len(others), 'unit')} of {len(tokens.units)} share an activating token with "
            f"{arguments.unit}, over {n_tokens} tokens of text"
            f"{more if len(others) > _COMPARED else ''}"
        ])  # fmt: skip
    return 0


def _read(words: Sequence[str] | None) -> Namespace:
    parser = Parser("python -m experiments.neuron_graphs.similar", _ABOUT, _EXAMPLES)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a study")
    parser.add_argument("unit", metavar="UNIT", help="layer:neuron from 0, e.g. 3:17 or 3:17-")
    parser.add_argument(
        "--by", choices=("structure", "firing"), default="structure", help="what comes first"
    )
    parser.add_argument(
        "--most", type=int, default=20, metavar="N", help="neurons to show (default: 20)"
    )
    arguments = parser.parse_args(words)
    if arguments.most < 1:
        raise UserError(f"--most {arguments.most} is too small; give 1 or more")
    arguments.unit = Unit.parse(arguments.unit)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
