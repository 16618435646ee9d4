"""Figures of the study. They are returned, not saved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from experiments.subjects.covariances import Matrix
from experiments.subjects.similarity import Similarity
from probe.api.drawing import BLUE, GREY, ORANGE, SHARES, grid, name_rows_and_columns, write_values


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
        for x, row in zip(place, of_part, strict=True):
            axes.hlines(row["null_95"], x - 0.45, x + 0.45, color="black", ls=":", lw=1.2)
        axes.set_xticks(place, [row["what"] for row in of_part], rotation=45, ha="right")
        axes.tick_params(labelsize=7)
        axes.set_title(f"{part}; dotted: 95 % of permuted labels", fontsize=8)
        axes.set(ylim=(0, 1))
        axes.set_ylabel("accuracy (share of texts)", fontsize=8)
    return figure


def _swept(neuron: int, chosen: bool, controls: Sequence[int]) -> str:
    """Name a neuron; the controls, all drawn in grey, are named together."""
    if chosen:
        return f"neuron {neuron}"
    return f"controls {', '.join(map(str, controls))}" if neuron == controls[0] else "_"


def sweep_curves(title: str, rows: Sequence[dict[str, Any]], unit: str) -> Figure:
    """Draw each effect against the value; chosen neurons in colour, controls in grey."""
    effects = {
        "kl": "KL divergence of the next token (nats)",
        "changed_top": "share of texts with another top token",
        "accuracy": "share of questions answered right",
    }
    present = {name: label for name, label in effects.items() if name in rows[0]}
    figure, panels = grid(title, len(present), 3, (3.6, 2.8))
    for axes, (name, label) in zip(panels, present.items(), strict=True):
        controls = list(dict.fromkeys(row["neuron"] for row in rows if row["kind"] != "chosen"))
        for neuron in dict.fromkeys(row["neuron"] for row in rows):
            curve = [row for row in rows if row["neuron"] == neuron]
            chosen = curve[0]["kind"] == "chosen"
            value = [row["value"] for row in curve]
            axes.plot(
                value, [row[name] for row in curve], marker=".",
                color=BLUE if chosen else GREY, zorder=3 if chosen else 2,
                label=_swept(neuron, chosen, controls),
            )  # fmt: skip
            if chosen:
                low, high = ([row[f"{name}_{end}"] for row in curve] for end in ("low", "high"))
                axes.fill_between(value, low, high, color=BLUE, alpha=0.2, lw=0)
        axes.set_xlabel(f"value ({unit})", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure
