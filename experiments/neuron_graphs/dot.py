"""A visual graph as text for Graphviz."""

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.neuron_graphs.picture import Style, colours, label_of
from experiments.neuron_graphs.visual import VisualGraph

# From this length a label is set in smaller letters.
_LONG = 12


def to_dot(graph: VisualGraph, labels: Sequence[str], style: Style) -> str:
    """Return the graph in Graphviz's language, to be read from left to right.

    Layout and colours are those of Foote et al. 2023; a layer is a cluster, boxes in which a path
    ends have thick borders.
    """
    return "\n".join(["digraph neuron {", *_lines(graph, labels, style), "}"]) + "\n"


def _lines(graph: VisualGraph, labels: Sequence[str], style: Style) -> Iterator[str]:
    yield "  rankdir=RL; splines=spline; ranksep=1.5; nodesep=0.2;"
    yield "  node [shape=box, style=filled, fixedsize=true, width=2, height=0.75];"
    yield "  edge [dir=back, penwidth=3];"
    for depth in range(int(graph.depth.max(initial=-1)) + 1):
        yield f"  subgraph cluster_{depth} {{ color=white;"
        for node in np.flatnonzero(graph.depth == depth).tolist():
            text = label_of(int(graph.token[node]), labels)
            fill, ink = colours(graph, node, style)
            yield (
                f'    n{node} [label={_quoted(text)}, fillcolor="{fill}", fontcolor="{ink}", '
                f"fontsize={18 if len(text) >= _LONG else 25}, "
                f"penwidth={7 if graph.ends[node] else 3}];"
            )
        yield "  }"
    for behind, context in graph.edges.tolist():
        yield f"  n{behind} -> n{context};"


def _quoted(text: str) -> str:
    # Labels are visible text without line breaks; Graphviz reads entities of HTML in them.
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
