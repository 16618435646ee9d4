"""`python -m experiments.neuron_graphs.show RUN 3:17`: the graph of a neuron, and its page."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.neuron_graphs.console import number, run, say, table
from experiments.neuron_graphs.content import Example, UnitContent
from experiments.neuron_graphs.database import STORE, locate
from experiments.neuron_graphs.dot import to_dot
from experiments.neuron_graphs.pages import FOLDER, INDEX, page_name, write_page
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, aligned
from probe.api.commands import Parser

_ABOUT = """\
Shows what one neuron fires on: the paths of its graph, how well they foretell it, and the texts
that activate it most. Writes a page with the graph as a picture, unless the study has made it.
"""
_EXAMPLES = """\
examples
  python -m experiments.neuron_graphs.show RUN 3:17
  python -m experiments.neuron_graphs.show RUN 3:17-       by its negative activations
  python -m experiments.neuron_graphs.show RUN 3:17 --dot | dot -Tpdf > 3_17.pdf
  python -m experiments.neuron_graphs.show RUN 3:17 --json
  python -m experiments.neuron_graphs.show RUN/control.sqlite 3:17
      the same neuron of the untrained model

in the terminal
  … is any token; the neuron fires on ⟨tokens⟩, and does not on _tokens_ that the graph names
"""
_PATHS, _TEXTS = 15, 3


def main(words: Sequence[str] | None = None) -> int:
    """Show and write the page; return the exit code."""
    return run(lambda: _show(_read(words)))


def _show(arguments: Namespace) -> int:
    file = locate(arguments.run)
    with Store.read(file) as store:
        record = store.record(arguments.unit)
        content = UnitContent(store, record)
        if arguments.dot or arguments.json:
            if record.graph is None or content.visual is None:
                raise UserError(f"unit {record.unit} has no graph: {record.reason}")
            labels = store.vocabulary.labels
            written = (
                to_dot(content.visual, labels, content.style) if arguments.dot
                else record.graph.to_json() + "\n"
            )  # fmt: skip
            sys.stdout.write(written)
            return 0
        say(_lines(content))
        folder = file.parent / FOLDER / ("" if file.name == STORE else file.stem)
        page = arguments.output or folder / page_name(record.unit)
        if arguments.output is not None or not page.is_file():
            gallery = INDEX if (page.parent / INDEX).is_file() else ""
            _write(store, content, page, gallery)
        say([f"page: {page}"])
    return 0


def _write(store: Store, content: UnitContent, page: Path, gallery: str) -> None:
    try:
        write_page(store, content.record, page, gallery)
    except OSError as error:
        raise UserError(
            f"{page} cannot be written ({error.strerror}); give another file with --output"
        ) from None


def _lines(content: UnitContent) -> Iterator[str]:
    record, scores = content.record, content.record.scores
    yield f"{content.title} ({content.header.model}, {content.header.site})"
    if record.reason:
        yield f"note: {record.reason}"
    paths = content.paths(_PATHS)
    if paths:
        yield ""
        rows = [[number(each.value), str(each.count), each.text] for each in paths]
        yield from table(["activation", "times", "path"], rows)
        more = len(record.graph.ends) - len(paths) if record.graph is not None else 0
        if more:
            yield f"and {more} more"
    if record.graph is not None:
        yield ""
        yield from aligned(
            ["on held-out texts", "precision", "recall", "F1"],
            [
                [name, number(match.precision), number(match.recall), number(match.f1)]
                for name, match in content.matches()
            ],
        )
        yield (
            f"fires on {scores.support} of their tokens; in random texts on "
            f"{number(scores.density * 1e6, 0)} of a million, the graph alone on "
            f"{number(scores.false_per_million, 0)}"
        )
    for example in [each for each in content.examples() if each.held_out][:_TEXTS]:
        yield ""
        yield f"text {example.number}, {number(example.largest)}: {_marked(example)}"


def _marked(example: Example) -> str:
    return "".join(
        f"⟨{token.text}⟩" if token.fires else f"_{token.text}_" if token.foretold else token.text
        for token in example.tokens
    )


def _read(words: Sequence[str] | None) -> Namespace:
    parser = Parser("python -m experiments.neuron_graphs.show", _ABOUT, _EXAMPLES)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a study")
    parser.add_argument("unit", metavar="UNIT", help="layer:neuron from 0, e.g. 3:17 or 3:17-")
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help="page to write (default: RUN/page/LAYER_NEURON.html, unless it is there)",
    )  # fmt: skip
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--dot", action="store_true", help="write text for Graphviz instead")
    kinds.add_argument("--json", action="store_true", help="write the whole graph as JSON instead")
    arguments = parser.parse_args(words)
    arguments.unit = Unit.parse(arguments.unit)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
