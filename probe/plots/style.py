"""What all figures share: colours, titles, empty axes and labels."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Annotation
from matplotlib.ticker import LogFormatter, LogLocator, NullFormatter, NullLocator

from probe.config import Config, FiguresConfig, data_name, model_name
from probe.topology import Topology

# Distinguishable for colour-blind readers: Okabe and Ito, without yellow, which fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE = COLOURS[:2]
DASHES = ("-", "--", "-.")  # dotted lines are chance levels
GREY = "0.75"  # missing values
# Up to this many rows of a matrix there is room for their names, for the values, for large type.
MOST_NAMES, MOST_VALUES, MOST_LARGE = 24, 24, 12
USUAL = FiguresConfig()
DPI = USUAL.dpi
# Inches around framed axes: left and below for numbers of six digits and two lines of labels; above
# for a title, and for each line of it. Whole pixels, so that those of a heat map stay whole.
_LEFT, _BELOW, _ABOVE, _LINE = 0.84, 0.68, 0.1, 0.16
# Multiples of powers of 10 with a number, by the factor that a logarithmic axis spans less than.
_NUMBERED = {4: (1, 1.5, 2, 3, 4, 6, 8), 10: (1, 2, 3, 5), 100: (1, 2, 5)}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
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


def about(config: Config) -> str:
    """Return what a configuration reads, as titles have it: model, weights and data.

    Examples
    --------
    >>> from probe.config import DataConfig, ModelConfig
    >>> about(Config(model=ModelConfig("gpt2"), data=DataConfig("mmlu", name="mmlu")))
    'gpt2 (pretrained) on mmlu'
    """
    subject = config.subject.name if config.subject is not None else ""
    read = _joined(" ", data_name(config.data), "" if subject == "all" else subject)
    return f"{model_name(config.model)} ({config.init.kind.value}) on {read}"


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


def framed(heading: str, size: tuple[float, float], right: float = 0.2) -> tuple[Figure, Axes]:
    """Make a figure with one set of axes under a title, whose place is known without a layout.

    Parameters
    ----------
    heading : str
        Its title.
    size : (float, float)
        Width and height of the axes in inches.
    right : float
        Room right of the axes in inches.
    """
    words = wrapped(heading, size[0])
    lines = words.count("\n") + 1
    width, height = _LEFT + size[0] + right, _BELOW + size[1] + _ABOVE + _LINE * lines
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes((_LEFT / width, _BELOW / height, size[0] / width, size[1] / height))
    axes.set_title(words, fontsize=9, y=1)  # a fixed place needs no search for one
    return figure, axes


def log_scale(axes: Axes, *names: str) -> None:
    """Make axes logarithmic, x or y, with numbers that are no formulas, which take long to set.

    Call it when their limits are known. Over two powers of 10 and more only these have ticks: each
    tick costs as much as a curve.
    """
    for name in names:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = axis.get_view_interval()
        numbered = next((each for most, each in _NUMBERED.items() if high < most * low), (1,))
        axis.set_major_locator(LogLocator(subs=numbered))
        axis.set_major_formatter(_Powers(minor_thresholds=(np.inf, np.inf)))
        axis.set_minor_formatter(NullFormatter())
        if high >= 100 * low:
            axis.set_minor_locator(NullLocator())


class _Powers(LogFormatter):
    """Numbers as 0.01, 1, 3000 or 10⁵."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""  # no room for it
        if 1e-3 <= x < 1e4:
            return f"{x:g}"
        mantissa, exponent = f"{x:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
        return power if mantissa == "1" else f"{mantissa}·{power}"


def mark_beyond(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Mark points beyond the limits of the axes with an arrow at the edge, and their value.

    Call it when the limits are set. Points beyond the x axis are told by x, others by y.
    """
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    for x, y in points:
        across = not left <= x <= right
        if not across and low <= y <= high:
            continue
        place = float(np.clip(x, left, right)), float(np.clip(y, low, high))
        far = bool(x > right if across else y > high)
        arrow = ("<", ">") if across else ("v", "^")
        axes.plot(*place, arrow[far], color=colour, ms=6, clip_on=False, zorder=4)
        earlier = sum(isinstance(text, Annotation) and text.xy == place for text in axes.texts)
        inwards = -1 if far else 1
        aside = (7 * inwards, 8 * earlier) if across else (6, inwards * (3 + 8 * earlier))
        value = x if across else y
        axes.annotate(
            f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}", place, aside,
            textcoords="offset points", fontsize=7, color=colour,
            ha="right" if across and far else "left", va="center",
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.3},  # intervals lie below
        )  # fmt: skip


def mark_border(axes: Axes, place: float) -> None:
    """Draw a line between groups of a matrix's rows, and one between the same columns."""
    axes.axhline(place, color="black", lw=0.5)
    axes.axvline(place, color="black", lw=0.5)


def single(heading: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Make a figure with one set of axes under a title; `size` in inches."""
    figure = Figure(figsize=size, layout="compressed", dpi=DPI)
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
    figure = Figure(figsize=(width, size[1] * rows + 0.4), layout="constrained", dpi=DPI)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(n)]
    figure.suptitle(wrapped(heading, width), fontsize=9)
    return figure, axes


def legend_below(figure: Figure, panels: Sequence[Axes], columns: int) -> None:
    """Name what any of the panels shows once, below them all, where it hides nothing."""
    handles = {
        label: handle for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }  # fmt: skip
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=columns, fontsize=7,
        frameon=False,
    )  # fmt: skip


def wrapped(heading: str, width: float) -> str:
    """Break a title in 9 pt into lines, at 13 letters an inch."""
    room = int(13 * width)
    lines = heading.replace(": ", ":\n", 1).split("\n") if len(heading) > room else [heading]
    return "\n".join(textwrap.fill(line, room) for line in lines)


def name_rows_and_columns(axes: Axes, names: Sequence[object], size: float | None = None) -> None:
    """Label the rows and columns of a matrix, or evenly spaced ones if there are too many.

    With a size of type there are never too many: the figure has been made large enough.
    """
    step = 1 if size else -(-len(names) // MOST_NAMES)
    places, labels = range(0, len(names), step), [str(name) for name in names[::step]]
    axes.tick_params(labelsize=size or (10 if len(names) <= MOST_LARGE else 8))
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
            ha="center", va="center", fontsize=7 if max(values.shape) <= MOST_LARGE else 5,
            color="black" if light else "white",
        )  # fmt: skip
