"""Heat maps of a topology, with neurons ordered to show its structure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from probe.measures import Measures, strengths
from probe.plots.style import COLOURS, GREY, SIGNED, single, title
from probe.topology import Topology

# Beyond this, a heat map shows means of blocks: no screen has the pixels.
MOST_NODES = 4096
# Rows of a matrix that are processed at a time.
_ROWS = 1024
# Communities with a smaller share of the neurons are too thin for a number.
LEAST_SHARE = 0.02


def heatmap(topology: Topology, measures: Measures | None = None) -> Figure:
    """Draw the matrix from -1 to 1, grey where r is undefined.

    Neurons are ordered by community, the largest first, and by strength within one; by strength
    alone without communities; by index, with lines between layers, if they belong to several.
    """
    numbers = measures.communities if measures and topology.kind == "layer" else []
    order = neuron_order(topology, numbers)
    figure, axes = single(title(topology), (7.6, 6.2))
    image = draw_matrix(axes, topology, order)
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
    axes.set(xlabel=across + block_note(topology.n_neurons) + below, ylabel=down)
    figure.colorbar(image, ax=axes, label="correlation r (dimensionless)")
    return figure


def _name_layers(axes: Axes, topology: Topology) -> None:
    """Draw lines between the layers, and label the layers on the axes."""
    height = topology.n_neurons / len(topology.layers)
    for border in range(1, len(topology.layers)):
        axes.axhline(border * height, color="black", lw=0.5)
        axes.axvline(border * height, color="black", lw=0.5)
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


def draw_matrix(axes: Axes, topology: Topology, order: NDArray[np.int64]) -> AxesImage:
    """Draw a topology's matrix in the given order of neurons, blank on the diagonal."""
    n = topology.n_neurons
    step = _step(n)
    # A few rows at a time, so that a large matrix is never copied as a whole.
    height = step * max(1, _ROWS // step)
    drawn = np.concatenate(
        [
            _blocks(_rows(topology, order, start, start + height), step)
            for start in range(0, n, height)
        ]
    )
    return axes.imshow(drawn, cmap=SIGNED, vmin=-1, vmax=1, extent=(0, n, n, 0))


def _rows(
    topology: Topology, order: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.float32]:
    """Return some rows in the given order of neurons, NaN where r is undefined."""
    rows = topology.matrix[np.ix_(order[start:stop], order)].astype(np.float32)
    undefined = np.asarray(topology.undefined, dtype=np.int64)
    columns = undefined
    if topology.kind == "cross":
        columns = undefined[undefined >= topology.n_neurons] - topology.n_neurons
    else:
        rows[np.arange(len(rows)), np.arange(start, start + len(rows))] = np.nan
    rows[np.isin(order[start:stop], undefined)] = np.nan
    rows[:, np.isin(order, columns)] = np.nan
    return rows


def block_note(n: int) -> str:
    """Return a note if a heat map of n neurons shows means of blocks, else nothing."""
    step = _step(n)
    return "" if step == 1 else f" (means of blocks of {step} by {step})"


def _step(n: int) -> int:
    return -(-n // MOST_NODES)


def _blocks(matrix: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    if step == 1:
        return matrix
    rows, columns = (np.arange(0, length, step) for length in matrix.shape)
    total = np.add.reduceat(np.add.reduceat(np.nan_to_num(matrix), rows, 0), columns, 1)
    finite = np.isfinite(matrix).astype(np.float32)
    count = np.add.reduceat(np.add.reduceat(finite, rows, 0), columns, 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


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
            axes.axhline(stop, color="black", lw=0.5)
            axes.axvline(stop, color="black", lw=0.5)
    return rest > 0
