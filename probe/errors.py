"""Exceptions whose messages are written for the user."""

import difflib
from collections.abc import Iterable, Iterator


class UserError(ValueError):
    """A user's mistake, in one sentence: what was wanted, what came, what to do."""


class RankError(RuntimeError):
    """A rank failed; the message names it and includes its traceback."""


def causes(error: BaseException, contexts: bool = False) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, or (`contexts`) while handling, each once.

    Where a debugger or a coverage tool traces, OmegaConf makes an error its own cause.

    Examples
    --------
    >>> first, second = KeyError("a"), ValueError("b")
    >>> first.__cause__, second.__context__ = second, first
    >>> list(causes(first))
    [KeyError('a'), ValueError('b')]
    >>> list(causes(second, contexts=True))
    [ValueError('b'), KeyError('a')]
    """
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and not any(one is other for other in seen):
        seen.append(one)
        yield one
        one = one.__cause__ or (one.__context__ if contexts else None)


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
