"""The names under which a project's runs have logged to W&B."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.api import Config, UserError, read_manifest

# Columns of measures_by_layer.csv that are not measures.
_NO_MEASURE = {
    "topology", "layer", "part", "first_token_norm", "largest_norm", "tokens_above",
}  # fmt: skip
_FIGURES, _PNG = "figures/", ".png"


@dataclass(frozen=True)
class Logged:
    """Names that a project's runs have logged, each once.

    Attributes
    ----------
    runs : int
        Number of the runs.
    curves : dict of str to list of str
        Metrics over `layer`, by measure: one, or one for each part of the examples.
    numbers : list of str
        Summary numbers of runs that have a single topology.
    figures : dict of str to list of str
        Images by kind, e.g. `heatmap` of every topology or `hub_overlap` of a run.
    """

    runs: int
    curves: dict[str, list[str]] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    figures: dict[str, list[str]] = field(default_factory=dict)


def logged_names(config: Config) -> Logged:
    """Collect the names that the project's runs under `output` have logged.

    Raises
    ------
    UserError
        If there is no such run.
    """
    runs = list(_tracked_runs(config))
    if not runs:
        raise UserError(
            f"{config.output} has no finished run that was tracked in the project "
            f"{config.tracking.project}; make one, or give output= or tracking.project="
        )
    logged = Logged(len(runs))
    for run, manifest in runs:
        measures, records = _measures(run), manifest["topologies"]
        for record in records:
            if len(record["layers"]) == 1:
                part = f"part{record['part']}/" if record["parts"] > 1 else ""
                for measure in measures:
                    _add(logged.curves, measure, f"layers/{part}{measure}")
        if len(records) == 1:
            logged.numbers.extend(name for name in measures if name not in logged.numbers)
        for kind, key in _figures(manifest, [record["name"] for record in records]):
            _add(logged.figures, kind, key)
    return logged


def _tracked_runs(config: Config) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(Path(config.output).glob("*/*/*/manifest.json")):
        manifest = read_manifest(file.parent, "config")
        tracking = manifest["config"]["tracking"]
        same_project = tracking["project"] == config.tracking.project
        if manifest.get("topologies") and tracking["enabled"] and same_project:
            yield file.parent, manifest


def _measures(run: Path) -> list[str]:
    with (run / "measures_by_layer.csv").open(newline="", encoding="utf-8") as stream:
        return [name for name in next(csv.reader(stream)) if name not in _NO_MEASURE]


def _figures(manifest: dict[str, Any], topologies: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the kind of each figure and the key under which it was logged."""
    for file in manifest["files"]:
        if file.startswith(_FIGURES) and file.endswith(_PNG):
            stem = file.removeprefix(_FIGURES).removesuffix(_PNG)
            owners = [name for name in topologies if stem.startswith(f"{name}_")]
            owner = max(owners, key=len, default="")
            kind = stem.removeprefix(f"{owner}_")
            yield kind, f"{_FIGURES}{owner}/{kind}" if owner else f"{_FIGURES}{kind}"


def _add(names: dict[str, list[str]], group: str, name: str) -> None:
    if name not in names.setdefault(group, []):
        names[group].append(name)
