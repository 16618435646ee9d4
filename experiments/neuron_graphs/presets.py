"""How graphs are made and matched: consistently, as the paper says, or as its code does."""

from dataclasses import dataclass
from typing import Literal

# Share of the largest activation from which a unit fires, and of an activation that is kept.
FIRE = 0.5


@dataclass(frozen=True)
class Preset:
    """The choices in which the paper, its code and a consistent procedure differ.

    Attributes
    ----------
    importance : float
        A token is literal in a path if its importance exceeds this.
    substituted : float
        A token is substituted if its importance reaches this.
    grid : bool
        Whether contexts of 5, 10, … 30 tokens are tried, and not of 1, 2, … tokens; and whether a
        text for which none suffices has substitutes all the same.
    behind : int
        Tokens behind the pivot that a shortened text keeps, up to the end of its sentence.
    every_position : bool
        Whether every token of a shortened text that fires gives a path, or the pivot alone.
    pivot_too : bool
        Whether the activating token itself is substituted.
    keep_all : bool
        Whether all substitutes are followed, and not those alone that keep the activation.
    inherits : bool
        Whether tokens that are important in a text are literal in its variants.
    start : bool
        Whether a path can end with the start of the text.
    merge : bool
        Whether specific tokens are generalised where a wildcard was seen.
    greedy : bool
        Whether one path is followed, literal tokens first, and not all that match.
    letters : bool
        Whether substitutes, and what they replace, must contain a letter.
    normalise : {"none", "title_strip", "casefold_strip"}
        Which tokens are the same.
    """

    importance: float
    substituted: float
    grid: bool
    behind: int
    every_position: bool
    pivot_too: bool
    keep_all: bool
    inherits: bool
    start: bool
    merge: bool
    greedy: bool
    letters: bool
    normalise: Literal["none", "title_strip", "casefold_strip"]


PRESETS = {
    # Foote et al. 2023 with one threshold: what a unit needs to fire is what a path needs.
    "consistent": Preset(
        importance=1 - FIRE, substituted=1 - FIRE, grid=False, behind=0,
        every_position=True, pivot_too=True, keep_all=False, inherits=False, start=True,
        merge=False, greedy=False, letters=False, normalise="none",
    ),
    "paper_text": Preset(
        importance=0.75, substituted=0.8, grid=False, behind=0, every_position=False,
        pivot_too=False, keep_all=False, inherits=False, start=False, merge=False, greedy=False,
        letters=True, normalise="none",
    ),
    "paper_code": Preset(
        importance=0.75, substituted=0.8, grid=True, behind=5, every_position=True,
        pivot_too=True, keep_all=True, inherits=True, start=False, merge=True, greedy=True,
        letters=True, normalise="title_strip",
    ),
}  # fmt: skip
