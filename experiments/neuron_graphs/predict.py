"""Prediction: what a graph says of every token of a text."""

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.graph import START, WILDCARD, NeuronGraph
from experiments.neuron_graphs.merge import merge_ignores
from experiments.neuron_graphs.presets import Preset


class Predictor:
    """Matches a graph against texts, all tokens at once.

    Parameters
    ----------
    graph : NeuronGraph
        The graph.
    greedy : bool
        Whether one path is followed from every token, literal tokens first, as the paper's code
        does, whose value is that of the last end on it. By default all matching paths are, and
        the value is the largest of their ends.
    """

    def __init__(self, graph: NeuronGraph, greedy: bool = False) -> None:
        self.graph, self.greedy = graph, greedy
        # A node's key is unique: its parent and its token.
        self._width = int(graph.token.max(initial=0)) + 1 - START
        keys = self._keys(graph.parent, graph.token)
        self._order = np.argsort(keys, kind="stable")
        self._keys_sorted = keys[self._order]

    @classmethod
    def of(cls, graph: NeuronGraph, preset: Preset) -> "Predictor":
        """Return what a preset predicts with."""
        return cls(merge_ignores(graph) if preset.merge else graph, preset.greedy)

    def __call__(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the predicted activation of every token, shape (n_tokens,), 0 where no path fits.

        Parameters
        ----------
        tokens : ndarray of int32, shape (n_tokens,)
            The classes of the tokens of a text, without its beginning-of-text token; or of
            several texts with a `START` between them.
        """
        found = np.zeros(len(tokens))
        # Paths that match so far: the node that each has reached, and its activating token.
        node, pivot = np.full(len(tokens), -1), np.arange(len(tokens))
        depth = 0
        while len(node):
            at = pivot - depth
            here = np.where(at >= 0, tokens[np.maximum(at, 0)], START)
            literal = self._child(node, here)
            # A wildcard stays in its text: a start is also what lies between two texts.
            wild = np.where(here == START, -1, self._child(node, np.full(len(node), WILDCARD)))
            if self.greedy:
                wild = np.where(literal >= 0, -1, wild)
            node, pivot = np.concatenate([literal, wild]), np.concatenate([pivot, pivot])
            node, pivot = node[node >= 0], pivot[node >= 0]
            ends = self.graph.end_count[node] > 0
            value = self.graph.end_max[node[ends]].astype(np.float64)
            if self.greedy:
                found[pivot[ends]] = value
            else:
                np.maximum.at(found, pivot[ends], value)
            depth += 1
        return found

    def _keys(self, parent: NDArray[np.integer], token: NDArray[np.integer]) -> NDArray[np.int64]:
        return (parent.astype(np.int64) + 1) * self._width + (token.astype(np.int64) - START)

    def _child(self, node: NDArray[np.int64], token: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the child of each node with a token, −1 where there is none."""
        if not len(self._order):
            return np.full(len(node), -1)
        known = token - START < self._width
        keys = self._keys(node, np.where(known, token, START))
        at = np.minimum(np.searchsorted(self._keys_sorted, keys), len(self._order) - 1)
        return np.where(known & (self._keys_sorted[at] == keys), self._order[at], -1)
