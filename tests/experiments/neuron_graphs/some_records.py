"""Records made by hand, with tokens that mean harm."""

from pathlib import Path

import numpy as np

from experiments.neuron_graphs.graph import WILDCARD, NeuronGraph
from experiments.neuron_graphs.graph import Path as Tokens
from experiments.neuron_graphs.normalise import Vocabulary
from experiments.neuron_graphs.records import (
    Cost,
    Header,
    Match,
    Record,
    ScannedText,
    Scores,
)
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit

MASK, THE, A, BIG, RED, CAT, DOG = range(7)
HOSTILE = (
    '"', "\\", "<", ">", "&", "[", "]", "\n", "\t", "\x03", "\ufffd", "</script>", "$", "'", "",
    " ", "\u202e", "<!--", "{{ 1 }}", "\x1b[2J", "\x00", "\u2028", "\u0301", ";", "%", "|", "{",
)  # fmt: skip
FIRST = 7  # of the hostile tokens
WORDS = ("<mask>", " the", " a", " big", " red", " cat", " dog", *HOSTILE)
VOCABULARY = Vocabulary(WORDS, np.arange(len(WORDS), dtype=np.int32))
HEADER = Header("tiny", "sha256 ab", "sha256 cd", "mlp", "consistent", "none", 0.5, "<mask>")
# Every hostile token fires behind "the", and is context of "dog".
HARM = NeuronGraph.of_paths({
    **{(token, THE): 1.0 for token in range(FIRST, len(WORDS))},
    **{(DOG, WILDCARD, token): 0.75 for token in range(FIRST, len(WORDS))},
})  # fmt: skip


def text_of(example: int, tokens: list[int], activations: list[float]) -> ScannedText:
    """Return a text, every second one held out."""
    values = np.array(activations, np.float32)
    return ScannedText(example, example, np.array(tokens, np.int32), values, example % 2 == 1)


def record_of(
    unit: str, paths: dict[Tokens, float] | NeuronGraph, f1: float = 0.5, reason: str = ""
) -> Record:
    """Return a unit with a graph, its scores, and two texts."""
    graph = paths if isinstance(paths, NeuronGraph) else NeuronGraph.of_paths(paths)
    scores = Scores(
        Match(0.75, 0.375, f1), Match(0.5, 0.25, 0.125), Match(recall=0.0, f1=0.0),
        correlation=0.25, support=12, false_per_million=1500.0, density=0.0625,
    )  # fmt: skip
    texts = (
        text_of(
            1,
            [*range(FIRST, len(WORDS)), THE, CAT, A, DOG, BIG],
            [*[2] * len(HOSTILE), 0, 4, 0, 1, 0],
        ),
        text_of(2, [A, CAT, CAT, RED], [0, 2, 2, -8]),
    )
    quantiles = np.linspace(-1, 4, 6, dtype=np.float32)
    cost = Cost(0.5, 320, 2560, 8, 3)
    return Record(Unit.parse(unit), graph, scores, texts, 4.0, quantiles, cost, reason)


def dead(unit: str) -> Record:
    """Return a unit without a graph."""
    return Record(Unit.parse(unit), None, Scores(), reason="dead")


def store_of(folder: Path, *records: Record, name: str = "graphs.sqlite") -> Store:
    """Write a store."""
    store = Store.create(folder / name, HEADER, VOCABULARY)
    store.add(records)
    return store
