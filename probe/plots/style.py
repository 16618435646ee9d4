"""What all figures share: colours, titles, empty axes and labels."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from probe.topology import Topology

# Distinguishable for colour-blind readers: Okabe and Ito, without yellow, which fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE = COLOURS[:2]
GREY = "0.75"  # missing values
# Up to this many rows of a matrix there is room for their names, and for the values.
MOST_NAMES, MOST_VALUES = 24, 12
SIGNED = colormaps["RdBu_r"].with_extremes(bad=GREY)
SHARES = colormaps["viridis"].with_extremes(bad=GREY)


def title(*topologies: Topology) -> str:
    """Return the title of a figure of topologies: what they have in common."""
    same = (
        words[0] if len(set(words)) == 1 else ""
        for words in zip(*(_words(topology) for topology in topologies), strict=True)
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
        topology.scheme
        + (" of Spearman's r" if topology.correlation == "spearman" else "")
        + (" by token" if topology.weight == "token" else ""),
        f"{topology.examples} examples",
    )


def _joined(between: str, *words: str) -> str:
    return between.join(filter(None, words))


def single(heading: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Make a figure with one set of axes under a title; `size` in inches."""
    figure = Figure(figsize=size, layout="compressed", dpi=150)
    axes = figure.subplots()
    axes.set_title(wrapped(heading, size[0]), fontsize=9)
    return figure, axes


def grid(
    heading: str, n: int, columns: int, size: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """Make a figure with n sets of axes, row by row, under a title; `size` of one in inches."""
    columns = min(columns, n)
    rows = -(-n // columns)
    width = size[0] * columns
    figure = Figure(figsize=(width, size[1] * rows + 0.4), layout="constrained", dpi=150)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(n)]
    figure.suptitle(wrapped(heading, width), fontsize=9)
    return figure, axes


def wrapped(heading: str, width: float) -> str:
    """Break a title in 9 pt into lines, at 13 letters an inch."""
    room = int(13 * width)
    lines = heading.replace(": ", ":\n", 1).split("\n") if len(heading) > room else [heading]
    return "\n".join(textwrap.fill(line, room) for line in lines)


def name_rows_and_columns(axes: Axes, names: Sequence[object]) -> None:
    """Label the rows and columns of a matrix, or evenly spaced ones if there are too many."""
    step = -(-len(names) // MOST_NAMES)
    places, labels = range(0, len(names), step), [str(name) for name in names[::step]]
    axes.tick_params(labelsize=10 if len(names) <= MOST_VALUES else 8)
    slant = 45 if any(len(label) > 3 for label in labels) else 0
    axes.set_yticks(places, labels)
    axes.set_xticks(places, labels, rotation=slant, ha="right" if slant else "center")
    if slant:
        for tick in axes.get_xticklabels():
            tick.set_rotation_mode("anchor")


def write_values(axes: Axes, image: AxesImage) -> None:
    """Write the values of a matrix into its cells, unless there are too many to read."""
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)
    if max(values.shape) > MOST_VALUES:
        return
    for row, column in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = image.cmap(image.norm(values[row, column]))
        # Luma of Rec. 709: perceived lightness.
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5
        axes.text(
            column, row, f"{values[row, column]:.2f}",
            ha="center", va="center", fontsize=7, color="black" if light else "white",
        )  # fmt: skip
