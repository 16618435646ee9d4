"""The study from start to finish: read, map, compare, name, treat, draw."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.controlled import controlled, log_effects
from experiments.controls import random_weights
from experiments.task_mapping import figures
from experiments.task_mapping.comparison import overlap_rows, repeatability_rows
from experiments.task_mapping.console import log_maps, log_naming, log_networks, log_overlap
from experiments.task_mapping.counts import unigrams
from experiments.task_mapping.losses import effect_rows
from experiments.task_mapping.mapping import Mapped, map_scans
from experiments.task_mapping.naming import naming
from experiments.task_mapping.networks import (
    fdr_networks,
    network_rows,
    save_maps,
    save_networks,
)
from experiments.task_mapping.null import log_null, null_row
from experiments.task_mapping.observed import Observed, observe
from experiments.task_mapping.prompts import Prompts, read_prompts
from experiments.task_mapping.reading import (
    Texts,
    Units,
    continuations,
    read_units,
    whole_prompts,
    write_texts,
)
from experiments.task_mapping.settings import MODELS, TaskMappingConfig, at_sites, check
from experiments.task_mapping.signals import Signals, stacked
from experiments.task_mapping.stimuli import Scan, among, plan_scans, read_in
from probe.api import Results, data_name, model_name, plural
from probe.api.parts import this_rank

logger = logging.getLogger(__name__)
Row = dict[str, Any]
TRAINED = "trained"
UNTRAINED = "untrained"
COUNTS = "token counts"
WITHOUT_CLASS = "without token class"


@dataclass(frozen=True, eq=False)
class Experiment:
    """What is read, in which scans."""

    config: TaskMappingConfig
    prompts: Prompts
    texts: Texts
    of_tasks: Sequence[Scan]
    null: Sequence[Scan]
    device: torch.device

    @property
    def means(self) -> bool:
        """Whether observations are means of prompts."""
        return self.config.study.model == "prompt_ols"

    def maps(
        self, name: str, signals: Signals, observed: Observed, model: str, permutations: int = 0
    ) -> Mapped:
        """Map all scans of some signals."""
        settings = replace(self.config.study, model=model)
        own = signals.means() if model == "prompt_ols" else signals
        return map_scans(
            name, own, self.of_tasks, self.null, observed, settings, self.device, permutations
        )


def run(config: TaskMappingConfig, folder: Path) -> dict[str, Any]:
    """Run the study, write its files, and return the facts for the manifest.

    Raises
    ------
    UserError
        If a setting cannot work, or prompts are too few or too long.
    """
    check(config)
    settings, results = config.study, Results(folder)
    experiment = prepare(config)
    tasks = list(experiment.prompts.tasks)
    signals, units = _read(experiment, experiment.config, folder)
    observed = observe(experiment.config, experiment.texts, settings.nuisance)
    trained = experiment.maps(
        TRAINED, signals, observed, settings.model, settings.permutations
    )
    _tell_dropped(trained.dropped, len(experiment.of_tasks) + len(experiment.null))
    save_maps(folder, tasks, trained.z, trained.z_null, units)
    save_networks(folder, trained.effect, trained.over_scans, units, settings)
    mapped = {TRAINED: trained} | controls(experiment, signals, observed, folder)
    networks = network_rows(tasks, trained.over_scans, units, settings)
    overlaps = [r for name, own in mapped.items() for r in overlap_rows(name, tasks, own, settings)]
    repeated = [
        r for name, own in mapped.items() for r in repeatability_rows(name, tasks, own, settings)
    ]
    named = {name: naming(name, tasks, own, settings) for name, own in mapped.items()}
    confusion = [row for _, rows in named.values() for row in rows]
    identified = [row for row, _ in named.values()]
    null = [null_row(name, settings.model, own, settings) for name, own in mapped.items()]
    null += _other_models(experiment, signals, observed)
    tables = {
        "networks": networks, "overlap": overlaps, "repeatability": repeated,
        "identification": identified, "confusion": confusion, "null": null,
    }  # fmt: skip
    about = f"{model_name(config.model)} on {data_name(config.data)}"
    about += ", what it writes" if settings.generate else ", prompts"
    _draw(results, about, experiment, signals, observed, trained, units, tables)
    if settings.effects:
        tables["effects"] = effect_rows(
            at_sites(whole_prompts(config)), experiment.prompts, experiment.of_tasks,
            trained.over_half, units, settings,
        )  # fmt: skip
        own = [row for row in tables["effects"] if row["name"] == row["prompts"]]
        for site in units.sites:
            at_site = [row for row in own if row["site"] == site]
            log_effects(at_site)
            results.figure(f"effects_{site}", controlled(f"{about}, {site}", at_site))
            results.figure(
                f"lesions_{site}", figures.lesions(f"{about}, {site}", tasks, tables["effects"], site)
            )
    tables = {name: [_plain(row) for row in rows] for name, rows in tables.items()}
    for name, rows in tables.items():
        results.table(name, rows)
    results.save(tables)
    log_networks(networks)
    log_overlap(overlaps)
    log_maps(repeated)
    log_naming(identified)
    log_null(null)
    return {
        "tasks": tasks, "prompts": len(experiment.texts.documents), "units": len(units.layer),
        "headline": _headline(identified, repeated, null),
    }  # fmt: skip


def prepare(config: TaskMappingConfig) -> Experiment:
    """Choose the prompts of all scans, and let the model continue them.

    Raises
    ------
    UserError
        If prompts are too few or too long.
    """
    prompts, settings = read_prompts(config), config.study
    of_tasks, null = plan_scans(prompts, settings)
    config = continuations(config) if settings.generate else whole_prompts(config)
    used = read_in([*of_tasks, *null])
    logger.info(
        "%s × %s of %s in %d blocks, and %s: %s are read",
        plural(len(prompts.tasks), "task"), plural(settings.scans, "scan"),
        plural(len(null[0].prompts), "prompt"), settings.blocks,
        plural(len(null), "null scan"), plural(len(used), "prompt"),
    )  # fmt: skip
    texts = write_texts(config, prompts.documents, used)
    return Experiment(
        config,
        prompts.some(texts.numbers),
        texts,
        among(of_tasks, texts.numbers),
        among(null, texts.numbers),
        this_rank(config.runtime.device).device,
    )


def controls(
    experiment: Experiment, signals: Signals, observed: Observed, folder: Path
) -> dict[str, Mapped]:
    """Return maps by name: of the untrained model, of counts, and without classes of tokens."""
    config, settings = experiment.config, experiment.config.study
    # The untrained model reads what the trained one wrote, so that only weights differ.
    untrained, _ = _read(experiment, random_weights(config, settings.seed), folder)
    counts = stacked(unigrams(experiment.texts.ids))
    mapped = {
        UNTRAINED: experiment.maps(UNTRAINED, untrained, observed, settings.model),
        COUNTS: _without_gaps(experiment.maps(COUNTS, counts, observed, settings.model)),
    }
    if "token_class" not in settings.nuisance:
        more = observe(config, experiment.texts, [*settings.nuisance, "token_class"])
        mapped[WITHOUT_CLASS] = experiment.maps(WITHOUT_CLASS, signals, more, settings.model)
    return mapped


def _read(
    experiment: Experiment, config: TaskMappingConfig, folder: Path
) -> tuple[Signals, Units]:
    return read_units(at_sites(config), experiment.texts, experiment.means, folder)


def _without_gaps(mapped: Mapped) -> Mapped:
    """Return maps in which a token that is in none of a scan's texts differs by 0, exactly."""
    filled = {name: np.nan_to_num(getattr(mapped, name)) for name in ("z", "z_null")}
    filled |= {name: np.nan_to_num(getattr(mapped, name)) for name in ("over_scans", "over_half")}
    return replace(mapped, **filled)


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
    tables: dict[str, list[Row]],
) -> None:
    tasks, settings = list(experiment.prompts.tasks), experiment.config.study
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
    what += f"the largest |z|, in a scan of {tasks[task]}"
    results.figures(
        {
            "design": figures.design_matrix(about, design.matrix, observations),
            "layers": figures.by_layer(
                about, tasks, trained.over_scans,
                fdr_networks(trained.over_scans, settings.alpha), units,
            ),
            "overlap": figures.overlaps(about, tasks, tables["overlap"]),
            "repeatability": figures.repeatability(about, tables["repeatability"], settings.top),
            "confusion": figures.confusions(about, tasks, tables["confusion"]),
            "example": figures.example_series(
                about, what, series, fitted, columns[:, 0] > 0, observations
            ),
        }
    )  # fmt: skip


def _tell_dropped(dropped: Mapping[str, int], n_scans: int) -> None:
    if dropped:
        logger.warning(
            "regressors that are constant, or that others explain, are left out: %s",
            ", ".join(f"{name} in {n} of {n_scans} scans" for name, n in dropped.items()),
        )


def _plain(row: Row) -> Row:
    """Return a row in which what is not defined is empty."""
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in row.items()
    }


def _headline(
    identified: Sequence[Row], repeated: Sequence[Row], null: Sequence[Row]
) -> dict[str, float]:
    """Return the numbers that sum up a sweep."""
    numbers = {f"named right, {row['features']}": row["accuracy"] for row in identified}
    for name in dict.fromkeys(row["features"] for row in repeated):
        own = [row for row in repeated if row["features"] == name]
        for kind in ("same", "between"):
            numbers[f"Dice of scans, {kind}, {name}"] = float(
                np.mean([row[f"dice_{kind}"] for row in own])
            )
    return numbers | {
        f"null share × nominal, {row['features']}, {row['model']}": row["times_nominal"]
        for row in null
    }
