"""Figures of the study. They are returned, not saved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from experiments.subjects.covariances import Matrix
from experiments.subjects.similarity import Similarity
from probe.api.drawing import (
    BLUE,
    COLOURS,
    ORANGE,
    SHARES,
    grid,
    legend_below,
    name_rows_and_columns,
    write_values,
)

# Controls of a sweep are grey, told apart by their dashes and marks.
_GREYS, _DASHES, _MARKS = ("0.35", "0.65"), ("--", "-.", ":"), ("s", "^", "D", "v")


def clusters(whole: Matrix) -> Matrix:
    """Cluster subjects by 1 − r with average linkage; return SciPy's table of merges."""
    distance = np.clip(1 - (whole + whole.T) / 2, 0, 2)
    np.fill_diagonal(distance, 0)
    merges: Matrix = linkage(squareform(distance, checks=False), "average")
    return merges


def similarity_map(title: str, similarity: Similarity, names: Sequence[str]) -> Figure:
    """Draw the correlations of means in the order of a dendrogram, and those of halves."""
    merges = clusters(similarity.whole)
    tree = dendrogram(merges, no_plot=True)
    order = tree["leaves"]
    width = max(4.0, 0.32 * len(names) + 2)
    figure, (whole, halves) = grid(title, 2, 2, (min(width, 11), min(width, 11)))
    low = min(float(similarity.whole.min()), float(similarity.halves.min()))
    for axes, matrix in ((whole, similarity.whole), (halves, similarity.halves)):
        image = axes.imshow(matrix[np.ix_(order, order)], cmap=SHARES, vmin=low, vmax=1)
        write_values(axes, image)
        name_rows_and_columns(axes, [names[place].replace("_", " ") for place in order])
        axes.tick_params(labelsize=6)
        figure.colorbar(image, ax=axes, label="correlation (dimensionless)", shrink=0.7)
    whole.set_title("means of all texts", fontsize=8)
    halves.set_title("halves; diagonal: noise ceiling", fontsize=8)
    branches = whole.inset_axes((0, 1.12, 1, 0.25))
    for across, up in zip(tree["icoord"], tree["dcoord"], strict=True):
        # SciPy puts leaves at 5, 15, 25, …
        branches.plot((np.array(across) - 5) / 10, up, color="black", lw=0.8)
    branches.set(xlim=(-0.5, len(names) - 0.5), ylabel="1 − r")
    branches.set_xticks([])
    branches.tick_params(labelsize=6)
    return figure


def accuracy_bars(title: str, rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw the accuracy of the nearest mean against permuted labels, one panel per part."""
    parts = list(dict.fromkeys(row["part"] for row in rows))
    figure, panels = grid(title, len(parts), 2, (4.4, 3.0))
    for axes, part in zip(panels, parts, strict=True):
        of_part = [row for row in rows if row["part"] == part]
        place = np.arange(len(of_part))
        mean = np.array([row["accuracy"] for row in of_part])
        ends = np.array([[row["accuracy_low"], row["accuracy_high"]] for row in of_part]).T
        colours = [BLUE if row["what"].startswith("layer") else ORANGE for row in of_part]
        axes.bar(place, mean, color=colours, width=0.7)
        spread = np.abs(ends - mean)
        axes.errorbar(place, mean, spread, fmt="none", ecolor="black", capsize=2, lw=1)
        axes.hlines(
            [row["null_95"] for row in of_part], place - 0.45, place + 0.45, color="black",
            ls=":", lw=1.2, label="95 % of permuted labels",
        )  # fmt: skip
        constant = of_part[0]["constant"]
        axes.axhline(constant, color="0.4", ls="--", lw=1, label="constant prediction")
        axes.legend(fontsize=7, frameon=False)
        axes.set_xticks(place, [row["what"] for row in of_part], rotation=45, ha="right")
        axes.tick_params(labelsize=7)
        axes.set_title(part, fontsize=8)
        axes.set(ylim=(0, 1))
        axes.set_ylabel("accuracy (share of texts)", fontsize=8)
    return figure


def _styles(rows: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the style of every neuron: chosen ones in colours, controls in grey and dashed."""
    styles: dict[int, dict[str, Any]] = {}
    kinds = {row["neuron"]: row["kind"] for row in rows}
    for kind in ("chosen", "control"):
        for number, neuron in enumerate(n for n, own in kinds.items() if own == kind):
            styles[neuron] = (
                {"color": COLOURS[number % len(COLOURS)], "marker": "o", "zorder": 3}
                | {"label": f"neuron {neuron}"}
                if kind == "chosen"
                else {"color": _GREYS[number % 2], "marker": _MARKS[number % 4]}
                | {"ls": _DASHES[number % 3], "label": f"control {neuron}"}
            )
    return styles


def sweep_curves(title: str, rows: Sequence[dict[str, Any]], unit: str) -> Figure:
    """Draw each effect against the value; chosen neurons in colour, controls in grey."""
    effects = {
        "kl": "KL divergence of the next token (nats)",
        "changed_top": "share of texts with another top token",
        "accuracy": "accuracy (share of questions)",
    }
    present = {name: label for name, label in effects.items() if name in rows[0]}
    figure, panels = grid(title, len(present), 3, (3.6, 2.8))
    for axes, (name, label) in zip(panels, present.items(), strict=True):
        for neuron, style in _styles(rows).items():
            curve = [row for row in rows if row["neuron"] == neuron]
            value = [row["value"] for row in curve]
            axes.plot(value, [row[name] for row in curve], ms=3, lw=1.2, **style)
            if curve[0]["kind"] == "chosen":
                low, high = ([row[f"{name}_{end}"] for row in curve] for end in ("low", "high"))
                axes.fill_between(value, low, high, color=style["color"], alpha=0.2, lw=0)
        if name == "accuracy":
            axes.axhline(rows[0]["chance"], color="black", ls=":", lw=1, label="chance")
            axes.set_ylim(0, min(1.0, axes.get_ylim()[1]))
        axes.set_xlabel(f"value ({unit})", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        axes.tick_params(labelsize=7)
    legend_below(figure, panels, 6)
    return figure
