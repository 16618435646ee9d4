"""Find units by the tokens of their graphs."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.visible import word
from probe.api import UserError


@dataclass(frozen=True)
class Term:
    """A token that a unit's graph must have.

    Attributes
    ----------
    token : str
        Its text; spaces around it and its case do not count.
    role : {"activating", "context"} or None
        The role that it must have; None: either.
    """

    token: str
    role: str | None = None


@dataclass(frozen=True)
class Found:
    """A unit that was found.

    Attributes
    ----------
    number, unit : int, Unit
        Its number in the tables, and which it is.
    f1 : float or None
        Of its graph on held-out texts.
    components : int
        Connected components of its visual graph.
    repeats, tokens : int
        Tokens that are both activating and context; all tokens of the graph.
    """

    number: int
    unit: Unit
    f1: float | None
    components: int | None
    repeats: int
    tokens: int


_WITH = "SELECT unit FROM postings WHERE token IN ({places})"
_COUNTS = """
  SELECT unit, SUM(roles = 2) AS repeats, COUNT(*) AS size
  FROM (SELECT unit, COUNT(*) AS roles FROM postings {which} GROUP BY unit, token) GROUP BY unit
"""


def find(
    store: Store,
    terms: Sequence[Term] = (),
    min_f1: float | None = None,
    repeats: bool = False,
    several: bool = False,
) -> list[Found]:
    """Return the units that meet all terms, the best graph first.

    Parameters
    ----------
    store : Store
        Where to look.
    terms : sequence of Term
        Tokens that the graph must have.
    min_f1 : float, optional
        The least F1 of its graph on held-out texts.
    repeats : bool
        Only units with tokens that are both activating and context, those with most first: they
        fire where something comes again.
    several : bool
        Only units whose visual graph has several components.

    Raises
    ------
    UserError
        If no graph has one of the tokens.
    """
    chosen, values = [], []
    for term in terms:
        tokens = _tokens(store, term.token)
        query = _WITH.format(places=", ".join("?" * len(tokens)))
        chosen.append(query + (" AND role = ?" if term.role else ""))
        values += [*tokens, *([term.role] if term.role else [])]
    which = f"WHERE unit IN ({' INTERSECT '.join(chosen)})" if chosen else ""
    rows = store.rows(
        "SELECT id, layer, neuron, sign, value, components, repeats, size "
        f"FROM ({_COUNTS.format(which=which)}) AS counts JOIN units ON id = counts.unit "
        "LEFT JOIN metrics ON metrics.unit = id AND name = 'f1'",
        values,
    )
    found = [Found(row[0], Unit(*row[1:4]), *row[4:]) for row in rows]
    kept = [
        each for each in found
        if (min_f1 is None or (each.f1 is not None and each.f1 >= min_f1))
        and (each.repeats or not repeats)
        and ((each.components or 0) > 1 or not several)
    ]  # fmt: skip
    return sorted(
        kept, key=lambda each: (-each.repeats if repeats else 0, -(each.f1 or 0.0), each.unit)
    )


def strongest(store: Store, number: int, role: str, most: int) -> list[int]:
    """Return the tokens of a unit in a role, those of the largest weight first."""
    rows = store.rows(
        "SELECT token FROM postings WHERE unit = ? AND role = ? "
        "ORDER BY weight DESC, token LIMIT ?",
        (number, role, most),
    )
    return [token for (token,) in rows]


def _tokens(store: Store, token: str) -> list[int]:
    wanted = "SELECT DISTINCT class FROM tokens WHERE word = ?"
    classes = [number for (number,) in store.rows(wanted, (word(token),))]
    places = ", ".join("?" * len(classes))
    used = f"SELECT DISTINCT token FROM postings WHERE token IN ({places})"
    tokens = [number for (number,) in store.rows(used, classes)]
    if tokens:
        return tokens
    words = store.rows("SELECT DISTINCT word FROM tokens WHERE id IN (SELECT token FROM postings)")
    near = difflib.get_close_matches(word(token), [each for (each,) in words], n=3, cutoff=0.6)
    hint = f"; near it are {', '.join(map(repr, near))}" if near else ""
    known = "is in no graph" if classes else "is no token of the model"
    raise UserError(f"{token!r} {known}{hint}; give one token, without spaces around it")
