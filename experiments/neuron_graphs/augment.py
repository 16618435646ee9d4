"""Augmentation: other tokens in the place of important ones, kept if the unit still fires."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import (
    Activations,
    Algorithm,
    Ids,
    Substitutes,
    activations,
)
from experiments.neuron_graphs.presets import FIRE, Preset
from experiments.neuron_graphs.prune import Pruned
from experiments.neuron_graphs.texts import Text

# Tokens of the text on both sides that a substitute is to fit into.
_LEFT, _RIGHT = 32, 8


@dataclass(frozen=True, eq=False)
class Variant:
    """A shortened text with one token replaced.

    Attributes
    ----------
    tokens : tuple of int
        The tokens.
    activations : ndarray of float64, shape (n_tokens,)
        The unit's activations.
    at : int
        Index of the token that was replaced.
    """

    tokens: Ids
    activations: NDArray[np.float64]
    at: int


def augment(
    text: Text, pruned: Pruned, places: Sequence[int], number: int, preset: Preset
) -> Algorithm[tuple[list[Variant], int]]:
    """Replace tokens one at a time, and keep what keeps half of the pivot's activation.

    Foote et al. 2023, equation 4. A substitute is a single token, so that positions stay.

    Parameters
    ----------
    text, pruned
        The text, and where it was cut.
    places : sequence of int
        Indices in the shortened text of the tokens to replace.
    number : int
        Substitutes of each.
    preset : Preset
        Whether those that lose the activation are kept, too.

    Returns
    -------
    tuple of (list of Variant, int)
        What is kept, and how many were tried.
    """
    n_tokens, at = len(pruned.activations), pruned.pivot
    pivot = pruned.start + at
    tokens = text.tokens[pruned.start : pruned.start + n_tokens]
    left = max(0, pruned.start + min(places) - _LEFT)
    before = text.before(left)
    shift = len(before) + pruned.start - left
    ids = before + text.tokens[left : pivot + 1 + _RIGHT]
    asked = Substitutes(ids, tuple(place + shift for place in places), number)
    [proposals] = yield [asked]
    row_start = text.before(pruned.start)
    tried = [
        (place, (*tokens[:place], other, *tokens[place + 1 :]))
        for place, others in zip(places, proposals, strict=True)
        for other in dict.fromkeys(others)
        if other != tokens[place]
    ]
    if not tried:
        return [], 0
    rows = [
        Activations(row_start + row, range(len(row_start), len(row_start) + n_tokens))
        for _, row in tried
    ]
    variants = [
        Variant(row, answer, place)
        for (place, row), answer in zip(tried, (yield from activations(rows)), strict=True)
        if preset.keep_all or answer[at] / pruned.activations[at] >= FIRE
    ]
    return variants, len(tried)
