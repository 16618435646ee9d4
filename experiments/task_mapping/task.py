"""The study from start to finish: read, map, compare, name, treat, draw."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from experiments.controlled import controlled, log_effects
from experiments.task_mapping import figures
from experiments.task_mapping.comparison import overlap_rows, repeatability_rows
from experiments.task_mapping.console import log_maps, log_naming, log_networks, log_overlap
from experiments.task_mapping.experiment import TRAINED, Experiment, controls, prepare
from experiments.task_mapping.losses import effect_rows
from experiments.task_mapping.mapping import Mapped
from experiments.task_mapping.naming import naming
from experiments.task_mapping.networks import (
    fdr_networks,
    network_rows,
    save_maps,
    save_networks,
)
from experiments.task_mapping.null import log_null, null_row
from experiments.task_mapping.observed import Observed, observe
from experiments.task_mapping.reading import Units, whole_prompts
from experiments.task_mapping.settings import MODELS, TaskMappingConfig, at_sites, check
from experiments.task_mapping.signals import Signals
from probe.api import Results
from probe.api.drawing import about

logger = logging.getLogger(__name__)
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def run(config: TaskMappingConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or prompts are too few or too long.
    """
    check(config)
    settings, results = config.study, Results(folder, config)
    experiment = prepare(config)
    tasks = experiment.tasks
    signals, units = experiment.read(experiment.config, folder)
    observed = observe(experiment.config, experiment.texts, settings.nuisance)
    trained = experiment.maps(TRAINED, signals, observed, settings.model, settings.permutations)
    _tell_dropped(trained, len(experiment.of_tasks) + len(experiment.null))
    save_maps(folder, tasks, trained.z, trained.z_null, units)
    save_networks(folder, trained.effect, trained.over_scans, units, settings)
    mapped = {TRAINED: trained} | controls(experiment, signals, observed, folder)
    tables: Tables = {"networks": network_rows(tasks, trained.over_scans, units, settings)}
    tables |= {"overlap": [], "repeatability": [], "identification": [], "confusion": []}
    tables["null"] = [null_row(name, settings.model, own, settings) for name, own in mapped.items()]
    tables["null"] += _other_models(experiment, signals, observed)
    for name, own in mapped.items():
        tables["overlap"] += overlap_rows(name, tasks, own, settings)
        tables["repeatability"] += repeatability_rows(name, tasks, own, settings)
        identified, confusion = naming(name, tasks, own, settings)
        tables["identification"].append(identified)
        tables["confusion"] += confusion
    title = about(config) + (", what it writes" if settings.generate else ", prompts")
    _draw(results, title, experiment, signals, observed, trained, units, tables)
    if settings.effects:
        tables["effects"] = effect_rows(
            at_sites(whole_prompts(config)), experiment.prompts, experiment.of_tasks,
            trained.over_halves[0], units, settings,
        )  # fmt: skip
        _show_effects(results, config, tasks, tables["effects"])
    tables = {name: [_plain(row) for row in rows] for name, rows in tables.items()}
    for name, rows in tables.items():
        results.table(name, rows)
    results.save(tables)
    log_networks(tables["networks"])
    log_overlap(tables["overlap"])
    log_maps(tables["repeatability"])
    log_naming(tables["identification"])
    log_null(tables["null"])
    return {
        "tasks": tasks, "prompts": len(experiment.texts.documents), "units": len(units.layer),
        "headline": _headline(tables),
    }  # fmt: skip


def _other_models(experiment: Experiment, signals: Signals, observed: Observed) -> list[Row]:
    """Return the null scans' shares under the other models, where tokens are kept."""
    settings = experiment.config.study
    if experiment.means:
        return []
    return [
        null_row(TRAINED, model, experiment.maps(model, signals, observed, model), settings)
        for model in MODELS
        if model != settings.model
    ]


def _draw(
    results: Results,
    about: str,
    experiment: Experiment,
    signals: Signals,
    observed: Observed,
    trained: Mapped,
    units: Units,
    tables: Tables,
) -> None:
    tasks, settings = experiment.tasks, experiment.config.study
    observations = "prompts" if experiment.means else "tokens"
    # The unit that follows its task most, in the first scan of that task.
    strongest = np.nan_to_num(np.abs(trained.over_scans))
    task, unit = np.unravel_index(int(strongest.argmax()), strongest.shape)
    scan = experiment.of_tasks[int(task) * settings.scans]
    design = observed.design(scan, settings.model)
    columns = design.matrix.to_numpy(np.float64)
    series = signals.rows(scan.prompts)[:, unit].astype(np.float64)
    fitted = columns @ np.linalg.lstsq(columns, series, rcond=None)[0]
    what = f"neuron {units.neuron[unit]} of layer {units.layer[unit]} ({units.site[unit]}), "
    what += f"the largest |z|, in a scan of {tasks[int(task)]}"
    masks = fdr_networks(trained.over_scans, settings.alpha)
    results.figures(
        {
            "design": figures.design_matrix(about, design.matrix, observations),
            "layers": figures.by_layer(about, tasks, trained.over_scans, masks, units),
            "overlap": figures.overlaps(about, tasks, tables["overlap"]),
            "repeatability": figures.repeatability(about, tables["repeatability"], settings.top),
            "confusion": figures.confusions(about, tasks, tables["confusion"]),
            "example": figures.example_series(
                about, what, series, fitted, columns[:, 0] > 0, observations
            ),
        }
    )


def _show_effects(
    results: Results, config: TaskMappingConfig, tasks: list[str], rows: list[Row]
) -> None:
    """Log and draw every network's lesion on its own task's prompts, and draw it on all."""
    for site in dict.fromkeys(row["site"] for row in rows):
        title = f"{about(config)}, prompts, {site}"
        at_site = [row for row in rows if row["site"] == site]
        own = [row for row in at_site if row["name"] == row["prompts"]]
        log_effects([row | {"name": f"{row['name']} ({site})"} for row in own])
        results.figure(f"effects_{site}", controlled(title, own))
        results.figure(f"lesions_{site}", figures.lesions(title, tasks, at_site))


def _tell_dropped(trained: Mapped, n_scans: int) -> None:
    if trained.dropped:
        logger.warning(
            "regressors that are constant, or that others explain, are left out: %s",
            ", ".join(f"{name} in {n} of {n_scans} scans" for name, n in trained.dropped.items()),
        )


def _plain(row: Row) -> Row:
    """Return a row in which what is not defined is empty."""
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in row.items()
    }


def _headline(tables: Tables) -> dict[str, float]:
    """Return the numbers that sum up a sweep."""
    numbers = {
        f"named right, {row['features']}": row["accuracy"] for row in tables["identification"]
    }
    for name in dict.fromkeys(row["features"] for row in tables["repeatability"]):
        own = [row for row in tables["repeatability"] if row["features"] == name]
        for kind in ("same", "between"):
            dice = [row[f"dice_{kind}"] for row in own]
            numbers[f"Dice of scans, {kind}, {name}"] = float(np.mean(dice))
    return numbers | {
        f"null share × nominal, {row['features']}, {row['model']}": row["times_nominal"]
        for row in tables["null"]
    }
