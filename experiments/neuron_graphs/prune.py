"""Pruning: the shortest context in which a token keeps its activation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Activations, Algorithm, activations
from experiments.neuron_graphs.presets import FIRE, Preset
from experiments.neuron_graphs.texts import Text

# Lengths up to this are tried first, then up to twice as many: few texts need more, and rows are
# short.
_FIRST = 8
_STEP = 5


@dataclass(frozen=True, eq=False)
class Pruned:
    """A text without what is not needed before a token, nor what is far behind it.

    Attributes
    ----------
    start : int
        Index of its first token in the text.
    activations : ndarray of float64, shape (n_tokens,)
        The unit's activations in the shortened text.
    pivot : int
        Index in it of the activating token.
    ok : bool
        Whether it keeps half of the pivot's activation.
    """

    start: int
    activations: NDArray[np.float64]
    pivot: int
    ok: bool


def prune(
    text: Text, pivot: int, preset: Preset, context: int, behind: int = 0
) -> Algorithm[Pruned]:
    """Find the shortest suffix that keeps half of the pivot's activation.

    Foote et al. 2023, equations 1 and 2: a(pivot, suffix) / a(pivot, text) ≥ 0.5. An activation is
    not monotone in the length of its context, so every length is tried and none is left out by
    bisection; with `preset.grid` lengths are 5, 10, …, as in the paper's code, and the pivot must
    also have the largest activation of the suffix.

    Parameters
    ----------
    text : Text
        The text.
    pivot : int
        Index of the activating token, whose activation is positive.
    preset : Preset
        Whether lengths are exact.
    context : int
        Longest suffix, the pivot included. It is the result where none keeps half of the
        activation, which then is not `ok`: longer rows would cost more than all others together.
    behind : int
        Tokens behind the pivot that are kept; they change nothing before them.
    """
    most, longest = pivot + 1, None
    for lengths in _stages(most, preset.grid, context):
        rows = []
        for length in lengths:
            before = text.before(most - length)
            ids = before + text.tokens[most - length : most + behind]
            rows.append(Activations(ids, range(len(before), len(ids))))
        # The activations in a text that begins as it does are known.
        known = [text.activations[: most + behind]] if lengths[-1] == most else []
        asked = rows[: len(rows) - len(known)]
        answers = (yield from activations(asked)) if asked else []
        for length, found in zip(lengths, answers + known, strict=True):
            at = length - 1
            longest = Pruned(most - length, found, at, ok=False)
            share = found[at] / text.activations[pivot]
            if share > FIRE and found[:length].argmax() == at if preset.grid else share >= FIRE:
                return Pruned(most - length, found, at, ok=True)
    assert longest is not None, "a pivot is a suffix"
    return longest


def _stages(most: int, grid: bool, context: int) -> list[Sequence[int]]:
    """Return the lengths to try, those of a stage at once, each at most the whole prefix."""
    if grid:
        steps = [length for length in range(_STEP, context + 1, _STEP) if length <= most]
        whole = [most] if most <= context and most not in steps else []
        return [steps + whole or [context]]
    ends, longest = [0, _FIRST], min(most, context)
    while ends[-1] < longest:
        ends.append(2 * ends[-1])
    return [range(first + 1, min(end, longest) + 1) for first, end in pairwise(ends)]
