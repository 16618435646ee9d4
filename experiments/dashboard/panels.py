"""The sections of the dashboard and their panels, for a workspace or for a report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from experiments.dashboard.logged import Logged

# Measures that say little alone stand in one panel with what they must be compared with.
TOGETHER = {
    "mean_abs_r": ("chance_abs_r", "null_mean_abs_r"),
    "modularity": ("modularity_null",),
}
# Numbers by which runs of a single topology are compared.
COMPARED = ("mean_abs_r", "debiased_r2", "split_half", "strength_gini", "participation_ratio")
HISTOGRAMS = ("histogram", "strength", "spectrum")


@dataclass(frozen=True)
class Section:
    """A section: its name, how to read it, and its panels."""

    name: str
    help: str
    panels: list[Any]


def sections(logged: Logged) -> list[Section]:
    """Lay out what was logged; a section without panels is left out.

    W&B draws `wandb.Histogram` on the page of a single run only, so that histograms are shown
    here as the figures that were logged beside them.
    """
    single = set(HISTOGRAMS) | {"heatmap"}
    whole = [kind for kind in logged.figures if kind not in single]
    found = [
        Section(
            "Curves by layer",
            "A measure over the model's layers, a line for each run. mean |r| stands beside its "
            "chance level (white noise, and series shifted circularly where there are such), "
            "modularity beside that of rewired graphs: only the distance between them counts.",
            _curves(logged),
        ),
        Section(
            "Layers beside each other",
            "Figures of whole runs: all measures by layer, and which layers share their hubs.",
            _media(logged, whole),
        ),
        Section(
            "Heat maps",
            "The matrices, neurons ordered by community; the sign of a neuron is arbitrary.",
            _media(logged, ["heatmap"]),
        ),
        Section(
            "Histograms",
            "How often each correlation occurs, how strength spreads over the neurons, and the "
            "matrices' eigenvalues.",
            _media(logged, HISTOGRAMS),
        ),
        Section(
            "Hubs",
            "The neurons of greatest strength in every topology, the strongest first.",
            [wr.WeavePanelSummaryTable(table_name="hubs", layout=wr.Layout(w=24, h=12))],
        ),
        Section(
            "Comparison of runs",
            "Single numbers of runs that have one topology, and how configurations and results "
            "differ. Compare runs of like length and number of texts only.",
            [*_bars(logged), wr.RunComparer(diff_only="split", layout=wr.Layout(w=24, h=12))],
        ),
    ]
    return [section for section in found if section.panels]


def _curves(logged: Logged) -> list[Any]:
    panels = []
    beside = {other for others in TOGETHER.values() for other in others}
    for measure in logged.curves:
        stem, at, density = measure.partition("_at_")
        if stem in beside:
            continue
        names = [measure, *(other + at + density for other in TOGETHER.get(stem, ()))]
        metrics = [metric for name in names for metric in logged.curves.get(name, [])]
        title = measure.replace("_", " ")
        panels.append(wr.LinePlot(title=title, x="layer", y=metrics, title_x="layer"))
    return panels


def _media(logged: Logged, kinds: Any) -> list[Any]:
    return [
        wr.MediaBrowser(
            title=kind.replace("_", " "),
            media_keys=sorted(logged.figures[kind], key=_natural),
            num_columns=min(3, len(logged.figures[kind])),
            layout=wr.Layout(w=24, h=12),
        )
        for kind in kinds
        if kind in logged.figures
    ]


def _bars(logged: Logged) -> list[Any]:
    return [
        wr.BarPlot(title=name.replace("_", " "), metrics=[name])
        for name in COMPARED
        if name in logged.numbers
    ]


def _natural(key: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(word or 0), rest) for rest, word in re.findall(r"(\D+)(\d*)", key)]
