"""Figures of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.task_mapping.reading import Units
from probe.api.drawing import (
    BLUE,
    COLOURS,
    ORANGE,
    SHARES,
    SIGNED,
    grid,
    legend_below,
    name_rows_and_columns,
    single,
    write_values,
)

Row = Mapping[str, Any]
Matrix = NDArray[np.float64]


def design_matrix(about: str, design: pd.DataFrame, observations: str) -> Figure:
    """Draw the regressors of a scan, each divided by its largest magnitude."""
    figure, axes = single(f"{about}: design matrix of a scan", (0.6 * design.shape[1] + 2.4, 4.2))
    largest = design.abs().max().replace(0, 1)
    image = axes.imshow(design / largest, aspect="auto", cmap=SIGNED, vmin=-1, vmax=1)
    axes.set_xticks(range(design.shape[1]), design.columns, rotation=45, ha="right", fontsize=7)
    axes.set_ylabel(f"{observations}, in the order of the scan", fontsize=8)
    axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, label="regressor / its largest magnitude")
    return figure


def by_layer(
    about: str,
    tasks: Sequence[str],
    maps: NDArray[np.float32],
    masks: NDArray[np.bool_],
    units: Units,
) -> Figure:
    """Draw the share of units in each task's network by layer, more and less active than off."""
    figure, panels = grid(f"{about}: networks by layer", len(units.sites), 2, (4.8, 3.4))
    for axes, site in zip(panels, units.sites, strict=True):
        layers = np.unique(units.layer[units.site == site])
        for number, task in enumerate(tasks):
            more, less = [], []
            for layer in layers:
                here = (units.site == site) & (units.layer == layer)
                of_layer = masks[number, here]
                positive = maps[number, here] > 0
                more.append((of_layer & positive).mean())
                less.append(-(of_layer & ~positive).mean())
            colour = COLOURS[number % len(COLOURS)]
            style = "-" if number < len(COLOURS) else "--"
            axes.plot(layers, more, style, color=colour, marker="o", ms=2.5, lw=1, label=task)
            axes.plot(layers, less, style, color=colour, marker="o", ms=2.5, lw=1)
        axes.axhline(0, color="black", lw=0.7)
        axes.set_title(site, fontsize=8)
        axes.set_xlabel("layer", fontsize=8)
        axes.set_ylabel("share of units, above 0 if task > off", fontsize=8)
        axes.tick_params(labelsize=7)
    legend_below(figure, panels, 3)
    return figure


def overlaps(about: str, tasks: Sequence[str], rows: Sequence[Row]) -> Figure:
    """Draw for each kind of features how alike tasks' maps are, over halves of their scans."""
    kinds = list(dict.fromkeys(row["features"] for row in rows))
    heading = f"{about}: overlap over halves of scans, Dice below the diagonal, r of maps above"
    figure, panels = grid(heading, len(kinds), 2, (4.6, 3.8))
    for axes, kind in zip(panels, kinds, strict=True):
        values = np.full((len(tasks), len(tasks)), np.nan)
        for row in (row for row in rows if (row["features"], row["rule"]) == (kind, "top")):
            first, second = tasks.index(row["first"]), tasks.index(row["second"])
            values[second, first], values[first, second] = row["dice_across"], row["r_across"]
        image = axes.imshow(values, cmap=SIGNED, vmin=-1, vmax=1)
        write_values(axes, image)
        name_rows_and_columns(axes, tasks)
        axes.tick_params(labelsize=7)
        axes.set_title(kind, fontsize=8)
    figure.colorbar(image, ax=panels, label="Dice (networks of equal size), Pearson's r (z maps)")
    return figure


def repeatability(about: str, rows: Sequence[Row], chance: float) -> Figure:
    """Draw how alike scans of a task are, beside scans of other tasks and null scans."""
    kinds = list(dict.fromkeys(row["features"] for row in rows))
    measures = {"dice": "Dice of networks of equal size", "r": "Pearson's r of z maps"}
    figure, panels = grid(f"{about}: repeatability", len(measures), 2, (4.8, 3.4))
    marks = {"same": (BLUE, "o"), "between": (ORANGE, "s"), "null": ("0.45", "D")}
    labels = {"same": "scans of one task", "between": "of two tasks", "null": "two null scans"}
    for axes, (measure, name) in zip(panels, measures.items(), strict=True):
        for shift, (compared, (colour, marker)) in zip((-0.2, 0, 0.2), marks.items(), strict=True):
            values = [row[f"{measure}_{compared}"] for row in rows]
            places = [kinds.index(row["features"]) + shift for row in rows]
            axes.plot(places, values, marker, color=colour, ms=4, alpha=0.7, label=labels[compared])
        if measure == "dice":
            axes.axhline(chance, color="black", lw=0.7, ls=":", label="independent networks")
        else:
            axes.axhline(0, color="black", lw=0.7)
        axes.set_xticks(range(len(kinds)), kinds, fontsize=7, rotation=20, ha="right")
        axes.set_ylabel(f"{name}, a mark each task", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def confusions(about: str, tasks: Sequence[str], rows: Sequence[Row]) -> Figure:
    """Draw for each kind of features which task the scans of every task are taken for."""
    kinds = list(dict.fromkeys(row["features"] for row in rows))
    figure, panels = grid(f"{about}: tasks named by maps", len(kinds), 2, (4.6, 3.8))
    for axes, kind in zip(panels, kinds, strict=True):
        counts = np.zeros((len(tasks), len(tasks)))
        for row in (row for row in rows if row["features"] == kind):
            counts[tasks.index(row["task"]), tasks.index(row["named"])] = row["scans"]
        image = axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap=SHARES, vmin=0, vmax=1)
        write_values(axes, image)
        name_rows_and_columns(axes, tasks)
        axes.tick_params(labelsize=7)
        axes.set(title=kind, xlabel="named", ylabel="task of the scan")
        axes.title.set_fontsize(8)
    label = f"share of the task's scans; by chance {1 / len(tasks):.2f}"
    figure.colorbar(image, ax=panels, label=label)
    return figure


def example_series(
    about: str, what: str, series: Matrix, fitted: Matrix, on: NDArray[np.bool_], observations: str
) -> Figure:
    """Draw the signal of a unit over a scan with the model's fit; on-blocks are shaded."""
    figure, axes = single(f"{about}: {what}", (7.0, 3.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]]))).reshape(-1, 2)
    for number, (start, stop) in enumerate(edges):
        axes.axvspan(
            start - 0.5, stop - 0.5, color=ORANGE, alpha=0.15, lw=0,
            label="on" if number == 0 else None,
        )  # fmt: skip
    axes.plot(series, "o-", color="0.45", ms=3, lw=0.8, label="signal")
    axes.plot(fitted, color=BLUE, lw=1.5, label="fit")
    axes.set_xlabel(f"{observations}, in the order of the scan", fontsize=8)
    axes.set_ylabel("activation", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, frameon=False)
    return figure


def lesions(about: str, tasks: Sequence[str], rows: Sequence[Row]) -> Figure:
    """Draw how much each network's lesion raises the perplexity of every task's prompts."""
    figure, axes = single(
        f"{about}: lesions of networks beside those of their best control",
        (5.6, 4.6),
    )
    values = np.full((len(tasks), len(tasks)), np.nan)
    for row in rows:
        if row["control"] == "none":
            control = row["value"] - row["beyond"]
            place = tasks.index(row["name"]), tasks.index(row["prompts"])
            values[place] = np.log(row["value"] / control)
    most = float(np.nanmax(np.abs(values)))
    image = axes.imshow(values, cmap=SIGNED, vmin=-most, vmax=most)
    write_values(axes, image)
    name_rows_and_columns(axes, tasks)
    axes.tick_params(labelsize=7)
    axes.set(xlabel="prompts", ylabel="network without which they are read")
    figure.colorbar(image, ax=axes, label="ln(perplexity / that without the best control)")
    return figure
