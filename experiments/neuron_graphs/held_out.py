"""Which of a unit's texts its graph is made from, and which test it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.neuron_graphs.records import ScannedText

# Tokens on both sides of the pivot in which near duplicates agree.
_WINDOW = 10


def split(texts: Sequence[ScannedText], seed: int) -> tuple[ScannedText, ...]:
    """Hold half of the texts out, after near duplicates have been left out.

    Of texts that agree in ten tokens on both sides of their largest activation the strongest is
    kept: the others would test a graph on what it was made from. The halves are those of
    scikit-learn's `train_test_split(texts, train_size=0.5, random_state=seed)`.

    Parameters
    ----------
    texts : sequence of ScannedText
        The strongest first.
    seed : int
        Of the permutation.
    """
    first: dict[tuple[int, ...], ScannedText] = {}
    for text in texts:
        pivot = int(text.activations.argmax())
        window = text.tokens[max(0, pivot - _WINDOW) : pivot + _WINDOW + 1]
        first.setdefault(tuple(window.tolist()), text)
    kept = list(first.values())
    order = np.random.RandomState(seed).permutation(len(kept))
    held_out = set(order[: len(kept) - len(kept) // 2].tolist())
    return tuple(replace(text, held_out=n in held_out) for n, text in enumerate(kept))
