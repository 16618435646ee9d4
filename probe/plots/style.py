"""What all figures share: colours, what their titles say, empty axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from probe.topology import Topology

# Told apart by colour-blind readers: Okabe and Ito, without their yellow, which fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE = COLOURS[:2]
GREY = "0.75"  # where there is nothing to say
# A matrix has room for the names of so many rows, and for the values in so many.
MOST_NAMES, MOST_VALUES = 24, 12
SIGNED = colormaps["RdBu_r"].with_extremes(bad=GREY)
SHARES = colormaps["viridis"].with_extremes(bad=GREY)


def title(*topologies: Topology) -> str:
    """Say what a figure of topologies shows, leaving out where they differ."""
    same = (
        said[0] if len(set(said)) == 1 else ""
        for said in zip(*(_words(topology) for topology in topologies), strict=True)
    )  # fmt: skip
    model, init, data, subject, what, site, scheme, examples = same
    source = _joined(" on ", _joined(" ", model, init), _joined(" ", data, subject))
    average = _joined(", ", scheme, examples)
    place = _joined(" ", _joined(", ", what, site), f"({average})" if average else "")
    return _joined(": ", source, place)


def _words(topology: Topology) -> tuple[str, ...]:
    return (
        topology.model,
        f"({topology.init})",
        topology.data,
        "" if topology.subject in (None, "all") else str(topology.subject),
        topology.name.replace("_", " "),
        topology.site,
        topology.scheme + (" by token" if topology.weight == "token" else ""),
        f"{topology.examples} examples",
    )


def _joined(between: str, *words: str) -> str:
    return between.join(filter(None, words))


def single(said: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Make a figure of one pair of axes under a title; width and height in inches."""
    figure = Figure(figsize=size, layout="compressed", dpi=150)
    axes = figure.subplots()
    axes.set_title(wrapped(said, size[0]), fontsize=9)
    return figure, axes


def grid(said: str, n: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure of n axes, row by row, under a title; width and height of one in inches."""
    columns = min(columns, n)
    rows = -(-n // columns)
    width = size[0] * columns
    figure = Figure(figsize=(width, size[1] * rows + 0.4), layout="constrained", dpi=150)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(n)]
    figure.suptitle(wrapped(said, width), fontsize=9)
    return figure, axes


def wrapped(said: str, width: float) -> str:
    """Break a title of 9 points into lines, of which an inch holds 13 letters."""
    room = int(13 * width)
    lines = said.replace(": ", ":\n", 1).split("\n") if len(said) > room else [said]
    return "\n".join(textwrap.fill(line, room) for line in lines)


def name_rows_and_columns(axes: Axes, names: Sequence[object]) -> None:
    """Name the rows and columns of a matrix, each where there is room, else evenly spread."""
    step = -(-len(names) // MOST_NAMES)
    places, written = range(0, len(names), step), [str(name) for name in names[::step]]
    axes.tick_params(labelsize=10 if len(names) <= MOST_VALUES else 8)
    slant = 45 if any(len(word) > 3 for word in written) else 0
    axes.set_yticks(places, written)
    axes.set_xticks(places, written, rotation=slant, ha="right" if slant else "center")
    if slant:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")


def write_values(axes: Axes, image: AxesImage) -> None:
    """Write the values of a matrix into its cells, unless there are too many to be read."""
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)
    if max(values.shape) > MOST_VALUES:
        return
    for row, column in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = image.cmap(image.norm(values[row, column]))
        # Luma of Rec. 709: the lightness of a colour as the eye weighs its parts.
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5
        axes.text(
            column, row, f"{values[row, column]:.2f}",
            ha="center", va="center", fontsize=7, color="black" if light else "white",
        )  # fmt: skip
