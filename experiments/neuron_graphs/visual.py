"""The graph that people look at: literal tokens alone, equal ones at one depth drawn once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.graph import WILDCARD, NeuronGraph


@dataclass(frozen=True, eq=False)
class VisualGraph:
    """A layered graph, to be drawn with activating tokens on the right.

    Attributes
    ----------
    depth : ndarray of int32, shape (n_nodes,)
        Number of literal tokens before the node in its paths: 0 for activating tokens.
    token : ndarray of int32, shape (n_nodes,)
        Token id, `START`, or `WILDCARD` if any token activates.
    importance, activation : ndarray of float32, shape (n_nodes,)
        The largest among the trie's nodes that are drawn as this one.
    ends : ndarray of bool, shape (n_nodes,)
        Whether a path ends here.
    edges : ndarray of int32, shape (n_edges, 2)
        From a node to one that stands a depth farther back in the text, each once.
    components : ndarray of int32, shape (n_nodes,)
        Number of the connected component, from 0. Several speak for a polysemantic neuron.
    """

    depth: NDArray[np.int32]
    token: NDArray[np.int32]
    importance: NDArray[np.float32]
    activation: NDArray[np.float32]
    ends: NDArray[np.bool_]
    edges: NDArray[np.int32]
    components: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.token)

    @property
    def n_components(self) -> int:
        """Number of connected components."""
        return int(self.components.max(initial=-1)) + 1


def visual(graph: NeuronGraph) -> VisualGraph:
    """Condense a trie: equal tokens at one depth are one node, and wildcards are left out.

    Except a wildcard that activates, where every token does.

    Foote et al. 2023, section 3.5.

    Examples
    --------
    >>> seen = visual(NeuronGraph.of_paths({(5, WILDCARD, 1): 1.0, (6, 1): 0.8, (7,): 0.6}))
    >>> seen.token.tolist(), seen.edges.tolist(), seen.n_components
    ([5, 6, 7, 1], [[0, 3], [1, 3]], 2)
    """
    # Of every node of the trie, itself and its last literal ancestor, as (depth, token).
    place: list[tuple[int, int]] = []
    edges: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    values: dict[tuple[int, int], tuple[float, float, bool]] = {}
    columns = (graph.parent, graph.token, graph.importance, graph.activation, graph.end_count)
    for parent, token, importance, activation, ends in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        before = place[parent] if parent >= 0 else None
        if token == WILDCARD and before is not None:
            place.append(before)
            continue
        here = (before[0] + 1 if before else 0, token)
        place.append(here)
        old = values.get(here, (0.0, 0.0, False))
        values[here] = (max(old[0], importance), max(old[1], activation), old[2] or ends > 0)
        if before:
            edges.add((before, here))
    order = {here: number for number, here in enumerate(sorted(values))}
    pairs = sorted((order[one], order[other]) for one, other in edges)
    rows = [values[here] for here in order]
    return VisualGraph(
        np.array([depth for depth, _ in order], np.int32),
        np.array([token for _, token in order], np.int32),
        np.array([row[0] for row in rows], np.float32),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.bool_),
        np.array(pairs, np.int32).reshape(-1, 2),
        _components(len(order), pairs),
    )


def _components(n_nodes: int, edges: list[tuple[int, int]]) -> NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(edges, np.int64).reshape(-1, 2).T
    adjacent = coo_array((np.ones(len(edges)), (ends[0], ends[1])), shape=(n_nodes, n_nodes))
    return np.asarray(connected_components(adjacent, directed=False)[1], np.int32)
