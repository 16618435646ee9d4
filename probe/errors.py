"""Exceptions that a user is meant to read as they are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user's, said in one sentence: what was wanted, what came, what to do."""


class RankError(RuntimeError):
    """A rank failed; the message names it and holds its own traceback."""


def nearest(word: str, options: Iterable[str]) -> str:
    """Word the option most like `word`, or nothing where none is near.

    Examples
    --------
    >>> nearest("psycology", ["psychology", "biology"])
    "; did you mean 'psychology'?"
    >>> nearest("xyz", ["psychology"])
    ''
    """
    found = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""
