"""The contact sheet: the heat maps of all topologies of a run on one page."""

from collections.abc import Sequence
from math import ceil, sqrt

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from probe.config import FiguresConfig
from probe.measures import Measures
from probe.plots.matrix import communities, draw_matrix, neuron_order
from probe.plots.pixels import PERCENTILE, limit, mean_note, shown
from probe.plots.style import SIGNED, USUAL, title, wrapped
from probe.topology import Topology

# Inches: a heat map's side at the most and at the least, and a row of them.
_MOST, _LEAST, _ROW = 2.2, 0.7, 12.0
# Above a heat map for its name, between two, and right of all for the bar of colours.
_NAME, _GAP, _BAR = 0.18, 0.1, 1.4
_LINE = 0.17  # of the heading


def contact_sheet(
    measured: Sequence[tuple[Topology, Measures]], look: FiguresConfig = USUAL
) -> Figure:
    """Draw the heat maps of all topologies, each in colours up to its own percentile of |r|.

    Neurons are ordered as in single heat maps. Where colours end is written above each, so that
    weak topologies show their structure, too; a limit that is given holds for all.
    """
    columns = min(ceil(sqrt(1.6 * len(measured))), len(measured), int(_ROW / (_LEAST + _GAP)))
    pixels = int(look.dpi * min(_MOST, _ROW / columns - _GAP))
    side, rows = pixels / look.dpi, ceil(len(measured) / columns)
    width = _GAP + columns * (side + _GAP) + _BAR
    words = wrapped(title(*(topology for topology, _ in measured)), width)
    above = 0.1 + _LINE * (words.count("\n") + 1)
    height = above + rows * (_NAME + side) + _GAP
    figure = Figure(figsize=(width, height), dpi=look.dpi)
    figure.text(0.5, 1 - 0.08 / height, words, ha="center", va="top", fontsize=9)
    letters = max(len(_name(topology, 0.01)) for topology, _ in measured)
    size = min(8.0, 72 * side / (0.58 * letters))  # a letter's mean width
    for number, (topology, measures) in enumerate(measured):
        row, column = divmod(number, columns)
        left = _GAP + column * (side + _GAP)
        below = height - above - (row + 1) * (_NAME + side)
        place = (left / width, below / height, side / width, side / height)
        axes = figure.add_axes(place, xticks=[], yticks=[])
        drawn = shown(topology, neuron_order(topology, communities(topology, measures)), pixels)
        end = look.max_r or limit(drawn)
        draw_matrix(axes, drawn, topology.n_neurons, end)
        axes.set_title(_name(topology, end), fontsize=size, y=1, pad=2)
    averaged = any(mean_note(topology.n_neurons, pixels) for topology, _ in measured)
    top = 1 - (above + _NAME) / height
    means = "\na pixel is a mean over neurons" * averaged
    given = look.max_r is not None
    ends = "as given" if given else f"percentile {PERCENTILE:g} of |r| as drawn"
    label = f"correlation r{means}\nabove each: {ends}"
    _add_bar(figure, 1 - (_BAR - 0.2) / width, 0.2 / width, top, label)
    return figure


def _name(topology: Topology, end: float) -> str:
    return f"{topology.name.replace('_', ' ')}  ±{end:.2g}"


def _add_bar(figure: Figure, left: float, width: float, top: float, label: str) -> None:
    tall = min(3.2 / figure.get_figheight(), top - _GAP / figure.get_figheight())
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), SIGNED), extend="both", ticks=[-1, 0, 1],
        cax=figure.add_axes((left, top - tall, width, tall)),
    )  # fmt: skip
    bar.ax.set_yticklabels(["− that\nabove", "0", "that\nabove"], fontsize=8)
    bar.set_label(label, fontsize=8)
