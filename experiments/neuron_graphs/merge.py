"""The paper's code's generalisation: where a wildcard was seen, specific tokens become one."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from experiments.neuron_graphs.graph import START, WILDCARD, Line, NeuronGraph, flatten


@dataclass
class _Node:
    importance: float = 0.0
    activation: float = 0.0
    end_max: float = 0.0
    end_count: int = 0
    children: dict[int, "_Node"] = field(default_factory=dict)

    def take(self, other: "_Node") -> None:
        """Insert all paths below another node below this one."""
        for token, child in other.children.items():
            own = self.children.setdefault(token, _Node())
            own.importance = max(own.importance, child.importance)
            own.activation = max(own.activation, child.activation)
            own.end_max = max(own.end_max, child.end_max)
            own.end_count += child.end_count
            own.take(child)


def merge_ignores(graph: NeuronGraph) -> NeuronGraph:
    """Move what stands below specific tokens under the wildcard beside them.

    If one text shows that a position is irrelevant, specific tokens there are generalised: every
    path below such a token is also put below the wildcard, and the token is removed unless a path
    ends there. Afterwards following one path, literal tokens first, fires wherever some path does;
    but paths that were never seen fire as well (`apartresearch/Neuron2Graph`, `merge_ignores`).

    Examples
    --------
    >>> seen = NeuronGraph.of_paths({(5, WILDCARD, 4): 1.0, (5, 1, 3): 1.0})
    >>> sorted(merge_ignores(seen).ends)
    [(5, -1, 3), (5, -1, 4)]
    """
    root = _nested(graph)
    queue = deque([root])
    while queue:
        node = queue.popleft()
        wild = node.children.get(WILDCARD)
        if wild is not None:
            for token, child in sorted(node.children.items()):
                if token not in (WILDCARD, START):
                    wild.take(child)
                    if not child.end_count:
                        del node.children[token]
        queue.extend(node.children.values())
    return flatten(_lines(root, ()))


def _nested(graph: NeuronGraph) -> _Node:
    columns = (graph.importance, graph.activation, graph.end_max, graph.end_count)
    nodes = [_Node(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    root = _Node()
    for node, parent, token in zip(nodes, graph.parent.tolist(), graph.token.tolist(), strict=True):
        (root if parent < 0 else nodes[parent]).children[token] = node
    return root


def _lines(node: _Node, above: tuple[tuple[int, _Node], ...]) -> Iterator[Line]:
    for token, child in node.children.items():
        steps = (*above, (token, child))
        if child.end_count:
            seen = Line(
                tuple(token for token, _ in steps),
                child.end_max,
                tuple(step.importance for _, step in steps),
                tuple(step.activation for _, step in steps),
            )
            yield from [seen] * child.end_count
        yield from _lines(child, steps)
