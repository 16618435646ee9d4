"""What the commands `show`, `search` and `similar` share."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from experiments.neuron_graphs import public
from experiments.neuron_graphs.database import locate
from experiments.neuron_graphs.finding import strongest
from experiments.neuron_graphs.roles import ROLES
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.visible import clipped, visible
from probe.api import UserError, aligned
from probe.api.commands import exit_code

# Tokens of a role in a table, and the columns that they take at most.
_TOKENS, _ROOM = 6, 44


def run(command: Callable[[], int]) -> int:
    """Run a command on a terminal of any encoding; return its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return exit_code(command)


def open_run(path: Path) -> Store:
    """Open the store of a study's folder, or a public JSON file.

    Raises
    ------
    UserError
        If it is neither.
    """
    if not path.exists():
        raise UserError(f"{path} is not there; give the folder of a finished study")
    return public.read(path) if path.suffix == ".json" else Store.read(locate(path))


def say(lines: Iterable[str]) -> None:
    """Write lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def summary(store: Store, number: int) -> str:
    """Write the strongest activating tokens of a unit, and the strongest that they stand behind."""
    fires, behind = (
        " ".join(label(store, token) for token in strongest(store, number, role, _TOKENS))
        for role in ROLES
    )
    return clipped(fires, _ROOM) + (f" ← {clipped(behind, _ROOM)}" if behind else "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align a table whose last column is text."""
    lines = aligned(header[:-1], [row[:-1] for row in rows])
    width = max(map(len, lines))
    last = [header[-1], *(row[-1] for row in rows)]
    return [f"{line:<{width}}  {text}" for line, text in zip(lines, last, strict=True)]


def label(store: Store, token: int) -> str:
    """Write a token of a graph, visibly."""
    return visible(store.vocabulary.labels[token], token)


def number(value: float | None, digits: int = 2) -> str:
    """Write a number, or a dash if there is none.

    Examples
    --------
    >>> number(0.125), number(float("nan")), number(None)
    ('0.12', '–', '–')
    """
    return "–" if value is None or value != value else f"{value:.{digits}f}"
