"""How a configuration key is declared: its default, a sentence, bounds, and what needs it."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from probe.config.bounds import Bounds


def key(
    default: Any,
    sentence: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[str] = (),
    was: str | None = None,
    younger: bool = False,
    path: bool = False,
    needs: str | None = None,
) -> Any:
    """Declare a configuration key.

    Parameters
    ----------
    default : object
        Its default.
    sentence : str
        What it means, for the help page.
    least, most, above, below : float, optional
        Bounds of a number, or of each number of a list.
    choices : sequence of str
        The words that it can be, or that a list can name.
    was : str, optional
        Its former name, which is told to those who type it, and stands in the names of folders.
    younger : bool
        Whether earlier runs lack it: at its default it is no part of a name.
    path : bool
        Whether it is a path, or a list of paths, in which `~` is the home folder.
    needs : str, optional
        Of a study's key, without what it is not read: another key that has a value, or a word that
        one has or has not, or several of these, e.g. `study.on or study.sweep!=none`.
    """
    declared = {
        "doc": sentence,
        "bounds": Bounds(least, most, above, below),
        "choices": tuple(choices),
        "was": was,
        "younger": younger,
        "path": path,
        "needs": needs,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=declared)
    return field(default=default, metadata=declared)
