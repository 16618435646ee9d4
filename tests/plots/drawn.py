"""Topologies to draw, and what a figure shows, read back from it."""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe.topology import Topology
from probe.topology.reliability import Null, Reliability
from tests.topologies import topology_of


def make(n: int = 10, seed: int = 0, **changed: Any) -> Topology:
    """Make a topology whose neurons differ in strength, the last ones the strongest."""
    series = np.random.default_rng(seed).standard_normal((n, 6))
    series[n // 2 :] += series[0] * np.linspace(0, 2, n - n // 2)[:, None]
    matrix = np.atleast_2d(np.corrcoef(series))
    np.fill_diagonal(matrix, 1)
    usual = {"model": "gpt2", "data": "mmlu", "subject": "psychology"}
    return topology_of(matrix, **usual | changed)


def at_layer(layer: int, **changed: Any) -> Topology:
    return make(12, seed=layer, **{"layers": (layer,), "name": f"layer_{layer}"} | changed)


def known(**changed: Any) -> Reliability:
    reliability = Reliability(
        tokens=500, noise=0.01, split_half=0.9, halves=[], layer_agreement={}, null=None
    )
    return replace(reliability, **changed)


def null(counts: NDArray[np.int64]) -> Null:
    return Null(shifts=2, mean_abs_r=0.071, mean_r2=0.01, quantiles={}, counts=counts.tolist())


def undefine(topology: Topology, *neurons: int) -> Topology:
    matrix = topology.matrix.copy()
    matrix[list(neurons)] = 0
    matrix[:, list(neurons)] = 0
    return replace(topology, matrix=matrix, undefined=neurons)


def pixels(axes: Axes) -> NDArray[np.float64]:
    """Return what a heat map shows, NaN where it is blank."""
    (image,) = axes.images
    return np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)


def maps(figure: Figure) -> list[Axes]:
    """Return the axes of a figure that hold a heat map."""
    return [axes for axes in figure.axes if axes.images]


def panels(figure: Figure) -> dict[str, Axes]:
    """Return the axes of a figure by the quantity that they show."""
    return {axes.get_ylabel(): axes for axes in figure.axes}


def curve(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    """Return the line of a label."""
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def texts(axes: Axes) -> str:
    """Return all that is written in the axes and in their legend."""
    legend = axes.get_legend()
    inside = [*axes.texts, *(legend.get_texts() if legend else []), *_title(legend)]
    return "\n".join(text.get_text() for text in inside)


def _title(legend: Any) -> list[Any]:
    return [legend.get_title()] if legend else []
