"""What is shown of a unit, in words and numbers: its paths, its scores and its texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.neuron_graphs.graph import WILDCARD, NeuronGraph
from experiments.neuron_graphs.picture import Picture, Style, draw, label_of
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS, Preset
from experiments.neuron_graphs.records import Match, Record, ScannedText
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.visible import readable
from experiments.neuron_graphs.visual import VisualGraph, visual

# Tokens that are shown of a text, before its largest activation and behind it.
BEFORE, BEHIND = 60, 15
# Levels of the colours of tokens.
LEVELS = 10


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes
    ----------
    text : str
        As part of a running text.
    share : float
        The unit's activation there, as a share of its largest.
    predicted : float
        What the graph says.
    level : int
        Its colour, from 0 (no activation) to `LEVELS`.
    fires, foretold : bool
        Whether the unit fires there, and whether the graph says so.
    """

    text: str
    share: float
    predicted: float
    level: int
    fires: bool
    foretold: bool


@dataclass(frozen=True)
class Example:
    """A text around its largest activation.

    Attributes
    ----------
    number : int
        Number of the example.
    held_out : bool
        Whether the graph is tested on it.
    largest : float
        The largest activation, as a share of the unit's largest.
    before, behind : int
        Tokens of the text that are not shown.
    tokens : tuple of Token
        The others.
    """

    number: int
    held_out: bool
    largest: float
    before: int
    behind: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class SeenPath:
    """A path of the graph, as one reads it.

    Attributes
    ----------
    text : str
        Its elements in the order of the text, the activating token last.
    value : float
        The largest activation there, as a share of the unit's largest.
    count : int
        How often it was seen.
    """

    text: str
    value: float
    count: int


class UnitContent:
    """A unit as it is shown.

    Parameters
    ----------
    store : Store
        The store that it is in.
    record : Record
        The unit.
    """

    def __init__(self, store: Store, record: Record) -> None:
        self.header, self.vocabulary, self.record = store.header, store.vocabulary, record
        unit = record.unit
        about = "" if unit.sign > 0 else ", negative activations"
        self.title = f"Layer {unit.layer}, neuron {unit.neuron}{about}"

    @property
    def preset(self) -> Preset:
        """How the graph was made, and how it is matched."""
        return PRESETS[self.header.preset]

    @property
    def style(self) -> Style:
        """What colours tell."""
        return Style(self.header.fire, self.preset.importance)

    @cached_property
    def visual(self) -> VisualGraph | None:
        """The graph to look at."""
        return None if self.record.graph is None else visual(self.record.graph)

    @cached_property
    def picture(self) -> Picture | None:
        """The graph with places."""
        if self.visual is None:
            return None
        return draw(self.visual, self.vocabulary.labels, self.style)

    def paths(self, most: int) -> list[SeenPath]:
        """Return the paths of the largest activations, and then those seen most often."""
        if self.record.graph is None:
            return []
        counts = self.record.graph.end_count
        count = dict(zip(self.record.graph.ends, counts[counts > 0].tolist(), strict=True))
        ends = sorted(
            self.record.graph.ends.items(), key=lambda each: (-each[1], -count[each[0]], each[0])
        )
        labels = self.vocabulary.labels
        return [
            SeenPath(
                " ".join("…" if token == WILDCARD and place else label_of(token, labels)
                         for place, token in reversed(list(enumerate(path)))),
                value, count[path],
            )
            for path, value in ends[:most]
        ]  # fmt: skip

    def matches(self) -> list[tuple[str, Match]]:
        """Return how well the graph and both baselines do."""
        scores = self.record.scores
        return [
            ("graph", scores.graph), ("token lookup", scores.token), ("n-gram lookup", scores.ngram)
        ]  # fmt: skip

    def examples(self) -> Iterator[Example]:
        """Return all texts, the strongest first."""
        graph = self.record.graph
        predict = Predictor.of(graph or NeuronGraph.of_paths({}), self.preset)
        for text in self.record.texts:
            yield self._example(text, predict)

    def _example(self, text: ScannedText, predict: Predictor) -> Example:
        peak = int(np.argmax(text.activations))
        first, last = max(0, peak - BEFORE), min(len(text.tokens), peak + BEHIND + 1)
        predicted = predict(self.vocabulary.classes[text.tokens])
        shares = text.activations / (self.record.largest or 1.0)
        tokens = tuple(
            Token(
                readable(self.vocabulary.texts[text.tokens[place]], int(text.tokens[place])),
                float(shares[place]), float(predicted[place]),
                int(np.clip(np.floor(shares[place] * LEVELS + 0.5), 0, LEVELS)),
                bool(shares[place] >= self.header.fire),
                bool(predicted[place] >= self.header.fire),
            )
            for place in range(first, last)
        )  # fmt: skip
        return Example(
            text.example, text.held_out, float(shares[peak]), first, len(text.tokens) - last, tokens
        )
