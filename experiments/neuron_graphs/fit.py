"""From the texts that activate a unit to its graph."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Activations, Algorithm, Ids, activations, together
from experiments.neuron_graphs.augment import augment
from experiments.neuron_graphs.graph import Line, NeuronGraph, flatten
from experiments.neuron_graphs.paths import line
from experiments.neuron_graphs.presets import FIRE, Preset
from experiments.neuron_graphs.prune import Pruned, prune
from experiments.neuron_graphs.saliency import saliency
from experiments.neuron_graphs.texts import Text, rest_of_sentence

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rules:
    """How graphs are made.

    Attributes
    ----------
    preset : Preset
        Thresholds and choices.
    mask : int
        The token that replaces others.
    classes : ndarray of int32, shape (n_vocabulary,)
        The id that stands for each token in graphs.
    context : int
        Longest context that is looked at, in tokens, the activating one included.
    substitutes : int
        Substitutes of every important token; 0 for none.
    wildcard_pivot : bool
        Whether the activating token can be a wildcard.
    ends : frozenset of int
        Tokens that end a sentence.
    """

    preset: Preset
    mask: int
    classes: NDArray[np.int32]
    context: int = 30
    substitutes: int = 5
    wildcard_pivot: bool = False
    ends: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A graph and how it came about.

    Attributes
    ----------
    graph : NeuronGraph
        The graph.
    long : int
        Texts whose activation needs more context than is looked at.
    proposed, accepted : int
        Substitutes that were tried and kept.
    """

    graph: NeuronGraph
    long: int
    proposed: int
    accepted: int


def fit(texts: Sequence[Text], largest: float, rules: Rules) -> Algorithm[Fitted]:
    """Make a unit's graph; it does not depend on the order of the texts.

    Parameters
    ----------
    texts : sequence of Text
        Texts that activate the unit. Those that stay below half of its largest activation are of
        no use, as it does not fire there.
    largest : float
        The unit's largest activation, positive.
    rules : Rules
        How.
    """
    parts = yield from together([_of_text(text, largest, rules) for text in texts])
    lines, ok, tried, kept = zip(*parts, strict=True) if parts else ((), (), (), ())
    graph = flatten(one for some in lines for one in some)
    return Fitted(graph, ok.count(False), sum(tried), sum(kept))


def _of_text(
    text: Text, largest: float, rules: Rules
) -> Algorithm[tuple[list[Line], bool, int, int]]:
    """Return a text's paths, whether its context was enough, and substitutes tried and kept."""
    preset = rules.preset
    pivot = int(text.activations.argmax()) if len(text.tokens) else 0
    if not len(text.tokens) or text.activations[pivot] < FIRE * largest:
        return [], True, 0, 0
    behind = rest_of_sentence(text.tokens, pivot, preset.behind, rules.ends)
    pruned = yield from prune(text, pivot, preset, rules.context, behind)
    at = pruned.pivot
    short = pruned.activations[at]
    if short <= 0:
        return [], False, 0, 0
    tokens = text.tokens[pruned.start : pivot + 1 + behind]
    before = text.before(pruned.start)
    # What a shortened text lost does not count against it, or against its variants.
    to_share = text.activations[pivot] / short / largest
    asked: list[Algorithm[Any]] = [
        _saliency(before, tokens, pruned.activations, rules),
        _anchored(text, pruned, tokens, rules),
    ]
    own, starts = yield from together(asked)
    threshold = preset.importance

    def lines(tokens: Ids, values: Matrix, weight: Matrix, inherited: Matrix | None) -> list[Line]:
        shares, classes = values * to_share, tuple(rules.classes[list(tokens)].tolist())
        positions = np.flatnonzero(shares >= FIRE) if preset.every_position else [at]
        return [
            line(
                classes, i, shares, weight[:, i], threshold, starts=i in starts,
                forced=[] if inherited is None else np.flatnonzero(inherited[:, i] > threshold),
                wildcard_pivot=rules.wildcard_pivot,
            )
            for i in map(int, positions)
        ]  # fmt: skip

    found = lines(tokens, pruned.activations, own, None)
    # Rows of a text that could not be shortened are long, and its variants say little more.
    if not rules.substitutes or not (pruned.ok or preset.grid):
        return found, pruned.ok, 0, 0
    places = [k for k in range(at) if own[k, at] >= preset.substituted]
    places += [at] if preset.pivot_too else []
    if not places:
        return found, pruned.ok, 0, 0
    variants, tried = yield from augment(text, pruned, places, rules.substitutes, preset)
    again = yield from together(
        [_saliency(before, variant.tokens, variant.activations, rules) for variant in variants]
    )
    for variant, weight in zip(variants, again, strict=True):
        inherited = own if preset.inherits else None
        found += lines(variant.tokens, variant.activations, weight, inherited)
    return found, pruned.ok, tried, len(variants)


def _saliency(before: Ids, tokens: Ids, original: Matrix, rules: Rules) -> Algorithm[Matrix]:
    last, context = len(tokens) - 1, rules.context + rules.preset.behind
    return saliency(before, tokens, original, last, rules.mask, context, rules.wildcard_pivot)


def _anchored(text: Text, pruned: Pruned, tokens: Ids, rules: Rules) -> Algorithm[Collection[int]]:
    """Return the positions that fire only if the text starts where it does."""
    if pruned.start or not rules.preset.start:
        return frozenset()
    before = (*text.prefix, rules.mask)
    row = Activations(before + tokens, range(len(before), len(before) + len(tokens)))
    [moved] = yield from activations([row])
    lost: list[int] = np.flatnonzero(moved < FIRE * pruned.activations).tolist()
    return frozenset(lost)
