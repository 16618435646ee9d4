"""Figures of the study. They are returned, not saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.neuron_graphs.store import Store
from probe.api.drawing import BLUE, COLOURS, GREY, grid, single

Row = Mapping[str, Any]
# What is drawn of each model: the column, its name in the legend, its colour and its line.
_LINES = (
    ("given", "f1", "graph", BLUE, "-"),
    ("given", "token_f1", "token lookup", COLOURS[1], "-"),
    ("given", "ngram_f1", "n-gram lookup", COLOURS[2], "-"),
    ("random", "f1", "graph, random weights", "black", ":"),
)


def f1_by_layer(about: str, rows: Sequence[Row]) -> Figure:
    """Draw the F1 of graphs over layers, beside both lookups and untrained weights.

    Parameters
    ----------
    about : str
        Head of the title.
    rows : sequence of mapping
        `model` (given or random), `layer`, and for `f1`, `token_f1` and `ngram_f1` the mean over
        units and its interval, `…_low` and `…_high`; rows of all layers together are left out.
    """
    figure, axes = single(f"{about}: F1 on held-out texts, mean over neurons, 95 %", (6.4, 4.0))
    ticks: set[int] = set()
    for number, (model, column, name, colour, line) in enumerate(_LINES):
        own = [
            row for row in rows
            if row["model"] == model and row["layer"] != "all" and row[column] is not None
        ]  # fmt: skip
        layers = [int(row["layer"]) for row in own]
        ticks.update(layers)
        mean, low, high = (
            np.array([row[f"{column}{end}"] for row in own], np.float64)
            for end in ("", "_low", "_high")
        )
        places = np.array(layers) + 0.08 * (number - 1.5)  # intervals beside each other
        axes.plot(places, mean, color=colour, ls=line, marker="o", ms=4, label=name)
        axes.vlines(places, low, high, color=colour, lw=1)
    axes.set(xlabel="layer", ylabel="F1", ylim=(-0.03, 1.03), xticks=_some(sorted(ticks)))
    axes.legend(fontsize=7, frameon=False)
    return figure


def costs(about: str, store: Store) -> Figure:
    """Draw what a unit took of the model by layer: calls and tokens, with the middle 90 %."""
    rows = store.rows(
        "SELECT layer, calls.value, tokens.value FROM units "
        "JOIN metrics AS calls ON calls.unit = id AND calls.name = 'calls' "
        "JOIN metrics AS tokens ON tokens.unit = id AND tokens.name = 'tokens' "
        "WHERE tokens.value > 0"
    )
    table = np.array(rows, np.float64).reshape(-1, 3)
    layers = np.unique(table[:, 0])
    figure, panels = grid(f"{about}: what a neuron takes, median and middle 90 %", 2, 2, (4.0, 3.0))
    names = ("model calls a unit, by its share of rows", "tokens a unit")
    for axes, values, name in zip(panels, table.T[1:], names, strict=True):
        low, middle, high = (
            [np.quantile(values[table[:, 0] == layer], share) for layer in layers]
            for share in (0.05, 0.5, 0.95)
        )
        axes.bar(layers, middle, color=GREY)
        axes.vlines(layers, low, high, color=BLUE, lw=1.5)
        axes.set_xticks(_some(layers.tolist()))
        axes.set_xlabel("layer", fontsize=8)
        axes.set_ylabel(name, fontsize=8)
        axes.tick_params(labelsize=7)
    return figure


def _some(layers: Sequence[float]) -> Sequence[float]:
    """Return at most 16 layers for the ticks of an axis."""
    return layers[:: max(1, -(-len(layers) // 16))]
