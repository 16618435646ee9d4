"""Exceptions whose messages are written for the user."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake, in one sentence: what was wanted, what came, what to do."""


class RankError(RuntimeError):
    """A rank failed; the message names it and includes its traceback."""


def nearest(word: str, options: Iterable[str]) -> str:
    """Suggest the option closest to `word`; empty if none is close.

    Examples
    --------
    >>> nearest("psycology", ["psychology", "biology"])
    "; did you mean 'psychology'?"
    >>> nearest("xyz", ["psychology"])
    ''
    """
    matches = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
