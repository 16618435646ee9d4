"""The sections of the dashboard and their panels, for a workspace or for a report."""

import re
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from experiments.dashboard.logged import Logged

# Measures that share a panel with their chance levels or null models.
TOGETHER = {
    "mean_abs_r": ("chance_abs_r", "null_mean_abs_r"),
    "modularity": ("modularity_null",),
}
# Numbers to compare runs of a single topology by.
COMPARED = ("mean_abs_r", "debiased_r2", "split_half", "strength_gini", "participation_ratio")
HISTOGRAMS = ("histogram", "strength", "spectrum")


@dataclass(frozen=True)
class Section:
    """A section: its name, how to read it, and its panels."""

    name: str
    help: str
    panels: list[Any]


def sections(logged: Logged) -> list[Section]:
    """Return the sections of what was logged, without empty ones.

    W&B draws `wandb.Histogram` only on the page of a single run, so histograms are shown as figures
    here.
    """
    single = set(HISTOGRAMS) | {"heatmap"}
    whole = [kind for kind in logged.figures if kind not in single]
    every = [
        Section(
            "Curves by layer",
            "A measure over the model's layers, one line per run. Compare mean |r| with its chance "
            "level (white noise, and circularly shifted series if computed), and modularity with "
            "that of rewired graphs: only the difference is meaningful.",
            _curves(logged),
        ),
        Section(
            "Layers side by side",
            "Figures of whole runs: all measures by layer, and the overlap of hubs between layers.",
            _media(logged, whole),
        ),
        Section(
            "Heat maps",
            "The matrices, neurons ordered by community; the sign of a neuron is arbitrary.",
            _media(logged, ["heatmap"]),
        ),
        Section(
            "Histograms",
            "Distributions of correlations and of strength over neurons, and the eigenvalues of "
            "the matrices.",
            _media(logged, HISTOGRAMS),
        ),
        Section(
            "Hubs",
            "The neurons of largest strength in every topology, the strongest first.",
            [wr.WeavePanelSummaryTable(table_name="hubs", layout=wr.Layout(w=24, h=12))],
        ),
        Section(
            "Comparison of runs",
            "Single numbers of runs with one topology, and differences of configurations and "
            "results. Compare only runs with a similar number and length of texts.",
            [*_bars(logged), wr.RunComparer(diff_only="split", layout=wr.Layout(w=24, h=12))],
        ),
    ]
    return [section for section in every if section.panels]


def _curves(logged: Logged) -> list[Any]:
    panels = []
    partners = {other for others in TOGETHER.values() for other in others}
    for measure in logged.curves:
        stem, at, density = measure.partition("_at_")
        if stem in partners:
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
    """Return a sort key that puts layer 2 before layer 10."""
    return [(int(word or 0), rest) for rest, word in re.findall(r"(\D+)(\d*)", key)]
