"""How a visual graph looks: labels, colours, and places in layers from right to left."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.graph import START, WILDCARD
from experiments.neuron_graphs.visible import clipped, visible
from experiments.neuron_graphs.visual import VisualGraph

# In pixels: a box, and the room between boxes of one layer, and between layers.
WIDTH, HEIGHT, GAP, BETWEEN = 132, 34, 10, 64
_MARGIN, _COLUMNS = 8, 15
# Colours begin this much below the threshold that they tell of, as published.
_BELOW = 0.2
# From this brightness of its red, letters on blue are black.
_LIGHT = 130


@dataclass(frozen=True)
class Style:
    """Thresholds that colours begin from.

    Attributes
    ----------
    fire, importance : float
        Shares of the largest activation from which a unit fires, and of importance beyond which a
        token is drawn.
    """

    fire: float
    importance: float


@dataclass(frozen=True)
class Box:
    """A token in the picture.

    Attributes
    ----------
    x, y : float
        The upper left corner, in pixels.
    label, whole : str
        The text in the box, and the whole text beside its numbers.
    fill, ink : str
        Colours of the box and of the letters.
    ends : bool
        Whether a path ends here.
    depth : int
        Tokens that are drawn between it and the end of its paths, plus 1; 0 if it activates.
    """

    x: float
    y: float
    label: str
    whole: str
    fill: str
    ink: str
    ends: bool
    depth: int

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + HEIGHT / 2


@dataclass(frozen=True)
class Picture:
    """A graph whose boxes have places.

    Attributes
    ----------
    width, height : float
        Of the whole, in pixels.
    boxes : tuple of Box
        The tokens, in the order of the visual graph's nodes.
    lines : tuple of (Box, Box)
        From a context token to what follows it.
    components : int
        Pieces that are not connected.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[tuple[Box, Box], ...]
    components: int


def draw(graph: VisualGraph, labels: Sequence[str], style: Style) -> Picture:
    """Give every token of a graph its place, label and colour.

    Activating tokens are on the right, their context on the left of them, so that paths read as
    texts do. Connected pieces stand below each other, the strongest first; within a layer a token
    is as close as its order allows to those that it leads to.
    """
    last = int(graph.depth.max(initial=0))
    tops = _tops(graph)
    boxes = tuple(
        Box(
            _MARGIN + (last - int(graph.depth[node])) * (WIDTH + BETWEEN), tops[node],
            *_text(graph, node, labels), *colours(graph, node, style),
            bool(graph.ends[node]), int(graph.depth[node]),
        )
        for node in range(len(graph))
    )  # fmt: skip
    lines = tuple((boxes[context], boxes[behind]) for behind, context in graph.edges.tolist())
    width = 2 * _MARGIN + (last + 1) * WIDTH + last * BETWEEN
    height = max((box.y + HEIGHT for box in boxes), default=0) + _MARGIN
    return Picture(width, height, boxes, lines, graph.n_components)


def label_of(token: int, labels: Sequence[str]) -> str:
    """Write what a node holds, visibly and never empty."""
    if token == START:
        return "start of text"
    return "any token" if token == WILDCARD else visible(labels[token], token)


def colours(graph: VisualGraph, node: int, style: Style) -> tuple[str, str]:
    """Return the colours of a box and of its letters.

    Activating tokens are the redder the higher their activation, context tokens the bluer the
    higher their importance (Foote et al. 2023, as in their code).
    """
    if graph.depth[node] == 0:
        pale = 255 - shade(graph.activation[node], max(0.0, style.fire - _BELOW))
        return f"#ff{pale:02x}{pale:02x}", "#000000"
    pale = 255 - shade(graph.importance[node], max(0.1, style.importance - _BELOW))
    return f"#{pale:02x}{pale:02x}ff", "#ffffff" if pale < _LIGHT else "#000000"


def shade(value: float, threshold: float) -> int:
    """Return how strong a colour is, from 0 at the threshold to 255 at 1.

    Examples
    --------
    >>> shade(0.8, 0.3), shade(0.2, 0.3), shade(1.5, 0.3)
    (182, 0, 255)
    """
    return int(min(max(255 * (value - threshold) / (1 - threshold), 0), 255))


def _text(graph: VisualGraph, node: int, labels: Sequence[str]) -> tuple[str, str]:
    token = int(graph.token[node])
    text = label_of(token, labels)
    number = f" (token {token})" if token >= 0 else ""
    kind, value = (
        ("importance", graph.importance) if graph.depth[node] else ("activation", graph.activation)
    )
    return clipped(text, _COLUMNS), f"{text}{number}: {kind} {value[node]:.2f}"


def _tops(graph: VisualGraph) -> NDArray[np.float64]:
    """Return the height of every box, piece by piece."""
    tops, base = np.zeros(len(graph)), float(_MARGIN)
    strength = [
        graph.activation[graph.components == each].max() for each in range(graph.n_components)
    ]
    for component in np.argsort([-value for value in strength], kind="stable"):
        nodes = np.flatnonzero(graph.components == component)
        layers = _ordered(graph, nodes)
        tallest = max(map(len, layers))
        for layer in layers:
            rest = (tallest - len(layer)) / 2
            for place, node in enumerate(layer):
                tops[node] = base + (place + rest) * (HEIGHT + GAP)
        base += tallest * (HEIGHT + GAP) + GAP
    return tops


def _ordered(graph: VisualGraph, nodes: NDArray[np.intp]) -> list[list[int]]:
    """Order the tokens of each layer of a piece by the mean place of those that they lead to."""
    layers: list[list[int]] = [[] for _ in range(int(graph.depth[nodes].max()) + 1)]
    for node in nodes.tolist():
        layers[graph.depth[node]].append(node)
    layers[0].sort(key=lambda node: (-graph.activation[node], graph.token[node]))
    behind: dict[int, list[int]] = {node: [] for node in nodes.tolist()}
    for other, context in graph.edges.tolist():
        if context in behind:
            behind[context].append(other)
    for near, far in pairwise(layers):
        place = {node: number / len(near) for number, node in enumerate(near)}
        far.sort(
            key=lambda node: (
                float(np.mean([place[other] for other in behind[node]])), graph.token[node]
            )
        )  # fmt: skip
    return layers
