"""Validation: a graph beside two lookups, on texts that none of them was made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.baselines import NgramLookup, Seen, TokenLookup
from experiments.neuron_graphs.metrics import explained, match
from experiments.neuron_graphs.presets import FIRE
from experiments.neuron_graphs.records import NAN, Scores

Predict = Callable[[NDArray[np.int32]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a unit; activations are shares of its largest.

    Attributes
    ----------
    seen, held_out, random : sequence of (classes, shares)
        Texts that the graph was made from, texts that test it, and random texts, none of them one
        that it was made from.
    """

    seen: Sequence[Seen]
    held_out: Sequence[Seen]
    random: Sequence[Seen]


def validate(predict: Predict, evidence: Evidence) -> Scores:
    """Score a graph and both baselines.

    A token fires, truly or as predicted, from half of the unit's largest activation. Tokens of all
    texts count alike.

    Parameters
    ----------
    predict : callable
        Returns what the graph predicts for every token of a text.
    evidence : Evidence
        The texts.
    """
    true = _joined([shares for _, shares in evidence.held_out])
    fires = true >= FIRE
    predictors = (predict, TokenLookup(evidence.seen), NgramLookup(evidence.seen))
    predicted = [
        _joined([predictor(tokens) for tokens, _ in evidence.held_out]) for predictor in predictors
    ]
    graph, token, ngram = (match(fires, values >= FIRE) for values in predicted)
    n_random = sum(len(shares) for _, shares in evidence.random)
    false = sum(
        int(((predict(tokens) >= FIRE) & (shares < FIRE)).sum())
        for tokens, shares in evidence.random
    )
    firing = sum(int((shares >= FIRE).sum()) for _, shares in evidence.random)
    return Scores(
        graph, token, ngram,
        correlation=explained(true, predicted[0]),
        support=int(fires.sum()),
        false_per_million=1e6 * false / n_random if n_random else NAN,
        density=firing / n_random if n_random else NAN,
    )  # fmt: skip


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.zeros(0)
