"""Figures of the study. They are returned, not saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from experiments.controlled import STYLES
from experiments.networks.connectivity import ShiftNull
from experiments.networks.masks import Masks, sizes
from experiments.networks.signals import Matrix
from probe.api.drawing import (
    BLUE,
    COLOURS,
    GREY,
    SHARES,
    SIGNED,
    grid,
    legend_below,
    log_scale,
    name_rows_and_columns,
    single,
    write_values,
)
from probe.api.interventions import CONTROLS, MEASURES

Row = Mapping[str, Any]


def where_they_lie(about: str, masks: Masks, layers: NDArray[np.int64]) -> Figure:
    """Draw how many of a layer's neurons are in each network, layers × networks."""
    names, widths = np.unique(layers, return_counts=True)
    share = (sizes(masks, layers) / widths).T
    figure, axes = single(
        f"{about}: where the networks lie", (max(4.0, 0.4 * len(masks) + 2), 0.16 * len(names) + 2)
    )
    image = axes.imshow(share, cmap=SHARES, aspect="auto", vmin=0, origin="lower")
    step = -(-len(names) // 16)
    axes.set_yticks(range(0, len(names), step), [str(name) for name in names[::step]])
    axes.set_xticks(range(len(masks)))
    axes.set(xlabel="network, largest first", ylabel="layer")
    figure.colorbar(image, ax=axes, label="share of the layer's neurons")
    return figure


def time_courses(about: str, series: Matrix, words: Sequence[str]) -> Figure:
    """Draw networks over the tokens of a text, which are written under them.

    The colours end at the 99th percentile, as one token may be many times as strong as the others.
    """
    figure, axes = single(f"{about}: networks over a text", (max(6.0, 0.22 * len(words)), 4.2))
    limit = float(np.nanpercentile(np.abs(series), 99)) or 1.0
    image = axes.imshow(series.T, cmap=SIGNED, aspect="auto", vmin=-limit, vmax=limit)
    axes.set_xticks(range(len(words)), list(words), rotation=90, fontsize=6)
    axes.set_yticks(range(series.shape[1]))
    axes.set(xlabel="token", ylabel="network")
    figure.colorbar(
        image,
        ax=axes,
        extend="both",
        label="mean signal, by the signs of z (standardised)\ncolours end at percentile 99",
    )
    return figure


def recurrences(about: str, rows: Sequence[Row]) -> Figure:
    """Draw how often each network recurs, beside the range of templates permuted within layers."""
    places = list(dict.fromkeys(row["where"] for row in rows))
    figure, panels = grid(f"{about}: recurrence", len(places), 2, (4.6, 2.6))
    for axes, where in zip(panels, places, strict=True):
        own = [row for row in rows if row["where"] == where]
        numbers = [row["network"] for row in own]
        low, high = (np.array([row[name] for row in own]) for name in ("null_low", "null_high"))
        axes.bar(numbers, high - low, bottom=low, color=GREY, label="permuted templates, 95 %")
        axes.plot(
            numbers, [row["recurrence"] for row in own], ls="", marker="o", color=BLUE,
            label="networks",
        )  # fmt: skip
        axes.set_title(f"{where} ({own[0]['sets']})", fontsize=8)
        axes.set_xticks(numbers)
        axes.set_xlabel("network", fontsize=8)
        axes.set_ylabel("networks that overlap", fontsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=6, frameon=False)
    return figure


def preservation(about: str, rows: Sequence[Row]) -> Figure:
    """Draw each measure over the neurons that are kept, beside keeping as many others."""
    kept = [row for row in rows if row["effect"] == "keep"]
    measures = list(dict.fromkeys(row["measure"] for row in kept))
    figure, panels = grid(f"{about}: only these neurons are kept", len(measures), 2, (4.6, 3.0))
    for axes, measure in zip(panels, measures, strict=True):
        names = ("none", *CONTROLS)
        for shift, (name, colour) in enumerate(zip(names, COLOURS, strict=False), -1):
            own = sorted(
                (row for row in kept if (row["measure"], row["control"]) == (measure, name)),
                key=lambda row: row["units"],
            )
            units, values = ([row[key] for row in own] for key in ("units", "value"))
            low, high = ([row[key] for row in own] for key in ("low", "high"))
            places = np.array(units) * 1.02**shift  # intervals beside each other
            axes.plot(places, values, color=colour, marker="o", ms=3, label=STYLES[name][0])
            axes.vlines(places, low, high, color=colour, lw=0.8)
        units = sorted({row["units"] for row in kept})
        untouched = next(row["untouched"] for row in kept if row["measure"] == measure)
        if measure != "kl":  # a logarithmic axis has no 0
            axes.axhline(untouched, color="black", lw=0.7, label="all neurons")
        if measure == "accuracy":
            chance = next(row["chance"] for row in kept if row["measure"] == measure)
            axes.axhline(chance, color="black", lw=0.7, ls=":", label="chance")
        axes.set_xscale("log")
        axes.set_xticks(units, [str(number) for number in units])
        axes.minorticks_off()
        if measure in ("perplexity", "kl"):
            log_scale(axes, "y")
        axes.set_xlabel("neurons kept", fontsize=8)
        axes.set_ylabel(MEASURES[measure].replace(", ", ",\n"), fontsize=8)
        axes.tick_params(which="both", labelsize=7)
    legend_below(figure, panels, 3)
    return figure


def connections(about: str, r: Matrix, null: ShiftNull) -> Figure:
    """Draw r among networks; those within the range of shifted series are grey."""
    within = (r >= null.low) & (r <= null.high)
    np.fill_diagonal(within, True)
    figure, axes = single(
        f"{about}: r among networks, grey where circular shifts reach it (95 %)", (5.4, 4.6)
    )
    image = axes.imshow(np.where(within, np.nan, r), cmap=SIGNED, vmin=-1, vmax=1)
    write_values(axes, image)
    name_rows_and_columns(axes, range(len(r)))
    axes.set(xlabel="network", ylabel="network")
    figure.colorbar(image, ax=axes, label="Pearson's r over tokens")
    return figure
