"""Plain functions of token ids that stand for a neuron, and what runs an algorithm on them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from experiments.neuron_graphs.asks import Algorithm, Ask, Ids, Substitutes
from experiments.neuron_graphs.fit import Fitted, Rules, fit
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.texts import Text
from experiments.neuron_graphs.unit import Unit
from probe.models.place import ASSETS

MASK, THE, A, BIG, RED, CAT, DOG = range(7)
N_TOKENS = 40
Oracle = Callable[[Ids], list[float]]
Result = TypeVar("Result")
RULES = Rules(
    PRESETS["consistent"], MASK, np.arange(N_TOKENS, dtype=np.int32), context=30, substitutes=0
)


def when(fires: Callable[[Ids, int], float]) -> Oracle:
    """Return an oracle from what it is at one position."""
    return lambda ids: [float(fires(ids, at)) for at in range(len(ids))]


unigram = when(lambda ids, at: ids[at] == CAT)
bigram = when(lambda ids, at: ids[at] == CAT and at > 0 and ids[at - 1] == THE)
skipgram = when(lambda ids, at: ids[at] == CAT and at > 1 and ids[at - 2] == THE)
either = when(lambda ids, at: ids[at] == CAT and at > 0 and ids[at - 1] in (THE, A))


def text(oracle: Oracle, *ids: int) -> Text:
    """Return a text with the oracle's activations."""
    return Text(ids, np.array(oracle(ids), np.float64))


def drive(algorithm: Algorithm[Result], oracle: Oracle, proposed: Sequence[int] = ()) -> Result:
    """Answer an algorithm's asks until it returns."""
    answers: Any = None
    while True:
        try:
            asks = algorithm.send(answers)
        except StopIteration as end:
            result: Result = end.value
            return result
        answers = [answer(ask, oracle, proposed) for ask in asks]


def answer(ask: Ask, oracle: Oracle, proposed: Sequence[int] = ()) -> Any:
    if isinstance(ask, Substitutes):
        return [list(proposed) for _ in ask.positions]
    return np.array([oracle(ask.ids)[at] for at in ask.positions])


def fitted(
    oracle: Oracle, texts: Sequence[Ids], proposed: Sequence[int] = (), **rules: Any
) -> Fitted:
    """Return the graph of an oracle whose largest activation is 1."""
    if proposed:
        rules = {"substitutes": 5} | rules
    given = [text(oracle, *ids) for ids in texts]
    return drive(fit(given, 1.0, replace(RULES, **rules)), oracle, proposed)


def random_texts(oracle: Oracle, number: int, length: int, seed: int) -> list[Text]:
    """Return random texts in which all words occur."""
    rng = np.random.default_rng(seed)
    return [text(oracle, *rng.integers(THE, 12, length).tolist()) for _ in range(number)]


UNIT = Unit(0, 0)


def write_texts(file: Path, documents: int = 12, words: int = 90) -> None:
    """Write the beginnings of bundled texts, one a document."""
    lines = (ASSETS / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [" ".join(json.loads(line)["text"].split()[:words]) for line in lines[:documents]]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
