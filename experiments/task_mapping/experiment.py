"""What is read in which scans, and its maps: the trained model, and what it is compared with."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from experiments.controls import random_weights
from experiments.task_mapping.counts import unigrams
from experiments.task_mapping.mapping import Mapped, Maps, halves, map_scans
from experiments.task_mapping.observed import Observed, observe
from experiments.task_mapping.prompts import Prompts, read_prompts
from experiments.task_mapping.reading import (
    Texts,
    Units,
    continuations,
    read_units,
    whole_prompts,
    within_context,
    write_texts,
)
from experiments.task_mapping.settings import TaskMapping, TaskMappingConfig, at_sites
from experiments.task_mapping.signals import Signals, stacked
from experiments.task_mapping.stimuli import Scan, among, plan_scans, read_in
from experiments.task_mapping.token_class import CLASSES
from probe.api import UserError, plural
from probe.api.parts import this_rank

logger = logging.getLogger(__name__)
# What maps are of.
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
    def tasks(self) -> list[str]:
        """The tasks, in the order of all maps."""
        return list(self.prompts.tasks)

    @property
    def means(self) -> bool:
        """Whether observations are means of prompts."""
        return self.config.study.model == "prompt_ols"

    def read(self, config: TaskMappingConfig, folder: Path) -> tuple[Signals, Units]:
        """Read the texts with a configuration's weights."""
        return read_units(at_sites(config), self.texts, self.means, folder)

    def maps(
        self, name: str, signals: Signals, observed: Observed, model: str, permutations: int = 0
    ) -> Mapped:
        """Map all scans of some signals."""
        settings = replace(self.config.study, model=model)
        own = signals.means() if model == "prompt_ols" else signals
        return map_scans(
            name, own, self.of_tasks, self.null, observed, settings, self.device, permutations
        )


def prepare(config: TaskMappingConfig) -> Experiment:
    """Choose the prompts of all scans, and let the model continue them.

    Raises
    ------
    UserError
        If prompts are too few, or a scan has too few for its regressors.
    """
    settings = config.study
    _refuse_small_scans(settings)
    prompts = within_context(config, read_prompts(config))
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


def _refuse_small_scans(settings: TaskMapping) -> None:
    """Refuse scans that a control could not fit, before anything is read."""
    nuisance = {*settings.nuisance, *CLASSES[1:]} - {"token_class"}
    # Task, cosines, constant.
    columns = 1 + settings.blocks // 2 + 1 + len(nuisance)
    prompts = settings.blocks * settings.prompts
    if prompts <= columns:
        raise UserError(
            f"study.blocks={settings.blocks} blocks of study.prompts={settings.prompts} are "
            f"{prompts} prompts, and up to {columns} regressors, those of token classes among "
            "them, need more; give more blocks, or more prompts a block"
        )


def controls(
    experiment: Experiment, signals: Signals, observed: Observed, folder: Path
) -> dict[str, Mapped]:
    """Return maps by name: of the untrained model, of counts, and without classes of tokens."""
    config, settings = experiment.config, experiment.config.study
    # The untrained model reads what the trained one wrote, so that only weights differ.
    untrained, _ = experiment.read(random_weights(config, settings.seed), folder)
    counts = stacked(unigrams(experiment.texts.ids, experiment.means))
    mapped = {
        UNTRAINED: experiment.maps(UNTRAINED, untrained, observed, settings.model),
        COUNTS: _without_gaps(experiment.maps(COUNTS, counts, observed, settings.model)),
    }
    if "token_class" not in settings.nuisance:
        more = observed.beside(observe(config, experiment.texts, ["token_class"]))
        mapped[WITHOUT_CLASS] = experiment.maps(WITHOUT_CLASS, signals, more, settings.model)
    return mapped


def _without_gaps(mapped: Mapped) -> Mapped:
    """Return maps in which a token that is in none of a scan's texts differs by 0, exactly.

    Over scans z is summed as Stouffer's, as such a scan knows no variance.
    """
    z, z_null = np.nan_to_num(mapped.z), np.nan_to_num(mapped.z_null)

    def over(scans: Sequence[int]) -> Maps:
        summed: Maps = z[:, scans].sum(axis=1) / np.float32(np.sqrt(len(scans)))
        return summed

    numbers = list(range(z.shape[1]))
    over_halves = np.stack([over(half) for half in halves(numbers)])
    return replace(mapped, z=z, z_null=z_null, over_scans=over(numbers), over_halves=over_halves)
