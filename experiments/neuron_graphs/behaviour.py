"""Where graphs fire on the texts of a store, and how far two of them agree."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.graph import START, NeuronGraph
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.store import Store


class Firings:
    """Predicted firings on all texts of a store.

    Parameters
    ----------
    store : Store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def tokens(self) -> NDArray[np.int32]:
        """The classes of the tokens of all texts, each text behind a `START`; shape (n_tokens,)."""
        classes = self._store.vocabulary.classes
        start = np.array([START], np.int32)
        texts = [part for text in self._store.texts().values() for part in (start, classes[text])]
        return np.concatenate([start[:0], *texts])

    def of(self, graph: NeuronGraph) -> NDArray[np.bool_]:
        """Return where a graph fires, shape (n_tokens,)."""
        predict = Predictor.of(graph, PRESETS[self._store.header.preset])
        return predict(self.tokens) >= self._store.header.fire


def agreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the F1 of two series of firings, NaN if neither ever fires.

    Examples
    --------
    >>> agreement(np.array([True, True, False]), np.array([True, False, False])) == 2 / 3
    True
    """
    fired = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / fired if fired else float("nan")
