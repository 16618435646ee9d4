"""Heat maps of topologies, with neurons ordered to show their structure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probe.config import FiguresConfig
from probe.measures import Measures, strengths
from probe.plots.pixels import PERCENTILE, beyond, limit, mean_note, shown
from probe.plots.style import COLOURS, GREY, SIGNED, USUAL, framed, mark_border, title
from probe.topology import Topology

# Communities with a smaller share of the neurons are too thin for a number.
LEAST_SHARE = 0.02
# Inches: a heat map's side; right of it to its colours' bar, the bar's width, room for numbers.
_SIDE, _STRIP, _BAR, _NUMBERS = 4.0, 0.45, 0.2, 1.0


def heatmap(
    topology: Topology, measures: Measures | None = None, look: FiguresConfig = USUAL
) -> Figure:
    """Draw the matrix, grey where r is undefined; colours end at a percentile of |r|, or as given.

    Neurons are ordered by community, the largest first, and by strength within one; by strength
    alone without communities; by index, with lines between layers, if they belong to several.
    """
    numbers = communities(topology, measures)
    order = neuron_order(topology, numbers)
    pixels = round(_SIDE * look.dpi)
    drawn = shown(topology, order, pixels)
    figure, axes = framed(title(topology), (_SIDE, _SIDE), right=_STRIP + _BAR + _NUMBERS)
    end = look.max_r or limit(drawn)
    image = draw_matrix(axes, drawn, topology.n_neurons, end)
    across = down = "neuron, by rank of strength"
    below = ""
    if topology.kind == "cross":
        down, across = (f"neuron of layer {layer}" for layer in topology.layers)
    elif topology.kind == "full":
        _name_layers(axes, topology)
        across = down = "neuron, by layer"
    elif numbers and measures:
        grey = _mark(axes, [numbers[neuron] for neuron in order])
        below = "\n" + _quality(measures) + ("; grey: smaller ones" if grey else "")
        across = down = "neuron, by community and strength"
    axes.set(xlabel=across + mean_note(topology.n_neurons, pixels) + below, ylabel=down)
    _add_bar(figure, axes, image, beyond(end, drawn), look.max_r)
    return figure


def _add_bar(
    figure: Figure, axes: Axes, image: AxesImage, outside: str, given: float | None
) -> None:
    place, width = axes.get_position(), figure.get_figwidth()
    bar = figure.add_axes((place.x1 + _STRIP / width, place.y0, _BAR / width, place.height))
    colours = figure.colorbar(image, cax=bar, extend=outside, ticks=MaxNLocator(6), format="{x:g}")
    colours.set_label(colours_label(outside, given), fontsize=9)


def colours_label(outside: str, given: float | None) -> str:
    """Return the label of a bar of colours: the quantity, and where colours end short of it."""
    end = f"percentile {PERCENTILE:g} of |r| as drawn" if given is None else f"|r| = {given:g}"
    ends = f"\ncolours end at {end}"
    return "correlation r (dimensionless)" + (ends if outside != "neither" else "")


def communities(topology: Topology, measures: Measures | None) -> Sequence[int]:
    """Return every neuron's community, -1 for none; empty if the topology has none."""
    return measures.communities if measures and topology.kind == "layer" else []


def _name_layers(axes: Axes, topology: Topology) -> None:
    """Draw lines between the layers, and label the layers on the axes."""
    height = topology.n_neurons / len(topology.layers)
    for border in range(1, len(topology.layers)):
        mark_border(axes, border * height)
    centres = [(place + 0.5) * height for place in range(len(topology.layers))]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(centres, [str(layer) for layer in topology.layers])
    axes.tick_params(labelsize=7, length=0)


def _quality(measures: Measures) -> str:
    """Return the modularity of the communities, against rewired graphs, in words."""
    graph = measures.graphs[0]
    modularity = "" if graph.modularity is None else f", modularity {graph.modularity:.2f}"
    null = "" if graph.modularity_null is None else f" (rewired {graph.modularity_null:.2f})"
    return f"communities at density {graph.density:g}{modularity}{null}"


def neuron_order(topology: Topology, communities: Sequence[int] = ()) -> NDArray[np.int64]:
    """Order neurons by community, then by falling strength; those in none (-1) come last.

    Neurons of several layers keep their order.
    """
    if topology.kind != "layer":
        return np.arange(topology.n_neurons)
    rank = np.asarray(communities if len(communities) else np.zeros(topology.n_neurons, dtype=int))
    rank = np.where(rank < 0, rank.max() + 1, rank)
    return np.lexsort((-strengths(topology), rank)).astype(np.int64)


def draw_matrix(axes: Axes, drawn: NDArray[np.float32], n: int, end: float) -> AxesImage:
    """Draw the pixels of a matrix of n neurons, in colours from -end to end."""
    return axes.imshow(drawn, cmap=SIGNED, vmin=-end, vmax=end, extent=(0, n, n, 0))


def _mark(axes: Axes, numbers: list[int]) -> bool:
    """Outline communities, number the larger ones, and return whether smaller ones remain."""
    n = len(numbers)
    starts = [i for i in range(n) if i == 0 or numbers[i] != numbers[i - 1]]
    strip = axes.inset_axes((1.012, 0, 0.022, 1))
    strip.set(xlim=(0, 1), ylim=(n, 0))
    strip.set_axis_off()
    strip.bar(0.5, n, width=1, color=GREY)
    rest = n
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        number, size = numbers[start], stop - start
        if number < 0 or size < max(2, LEAST_SHARE * n):
            continue
        rest -= size
        strip.bar(0.5, size, width=1, bottom=start, color=COLOURS[number % len(COLOURS)])
        strip.text(1.5, start + size / 2, str(number), fontsize=7, va="center")
        if stop < n:
            mark_border(axes, stop)
    return rest > 0
