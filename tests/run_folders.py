"""Folders as finished runs leave them, made without a model and without figures."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from probe.config import (
    Config,
    Figures,
    InitConfig,
    InitKind,
    MeasuresConfig,
    ModelConfig,
    to_plain,
)
from probe.measures import measure
from probe.runs import figure_files
from probe.topology import Topology

QUICK = MeasuresConfig(rewired=0)


def draw_dots(patch: pytest.MonkeyPatch) -> None:
    """Let runs draw a figure of a few pixels for each topology; real ones take longer than a run.

    `tests/plots` tests the real ones, and `tests/runs/test_folder.py` which of them a run leaves.
    """
    patch.setattr(figure_files, "wanted", _one_each)
    patch.setattr(figure_files, "figures", lambda *_: {"heatmap": Figure(figsize=(0.1, 0.1))})


def _one_each(draw: Figures, measured: Any) -> dict[str, list[str]]:
    return {topology.name: ["heatmap"] for topology, _ in measured if draw is not Figures.none}


def config_of(model: str | None = "org/tiny", init: str = "pretrained", seed: int = 0) -> Config:
    """Configure a run by what its neurons depend on."""
    return replace(
        Config(), model=ModelConfig(id=model), init=InitConfig(kind=InitKind(init), seed=seed)
    )


def save_run(folder: Path, *topologies: Topology, config: Config | None = None) -> Path:
    """Write topologies with their measures and a manifest."""
    measured = {topology.name: measure(topology, QUICK) for topology in topologies}
    for topology in topologies:
        topology.save(folder)
    (folder / "measures.json").write_text(json.dumps({k: asdict(m) for k, m in measured.items()}))
    rows: list[dict[str, Any]] = [
        {"topology": t.name, "layer": t.layer, "part": t.part, **measured[t.name].numbers()}
        for t in topologies
    ]
    with (folder / "measures_by_layer.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        table.writeheader()
        table.writerows(rows)
    manifest = {
        "config": to_plain(config or config_of(init=topologies[0].init)),
        "topologies": [topology.record() for topology in topologies],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
