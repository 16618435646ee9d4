"""A unit that follows a list of words is found; others are no more often than is asked for."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.task_mapping.experiment import prepare
from experiments.task_mapping.networks import fdr_networks
from experiments.task_mapping.observed import observe
from experiments.task_mapping.settings import TaskMappingConfig
from probe.cli import compose_job
from tests.experiments.task_mapping.planted_words import (
    COORDINATE,
    LAYER,
    UNIT,
    save_planted_words,
    save_prompts,
)
from tests.tiny_models import LAYERS

RATE, SEEDS = 0.05, 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_planted_words(tmp_path_factory.mktemp("planted"))


def found(
    model: Path, folder: Path, seed: int, site: str
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """Return the network of each task, and the units that follow the list."""
    table = save_prompts(folder / f"{seed}.csv", seed, each=60, off=80)
    words = [
        "model=local", f"model.path={model}", "data=table", f"data.path={table}", f"site={site}",
        "study.task_column=topic", "study.prompt_column=words", "study.tasks=[listed,plain]",
        "study.temperature=1", "study.null_scans=2", f"study.seed={seed}", f"study.alpha={RATE}",
        "runtime.device=cpu", f"output={folder}",
    ]  # fmt: skip
    config = compose_job(words, TaskMappingConfig)
    assert isinstance(config, TaskMappingConfig)
    settings = config.study
    experiment = prepare(config)
    signals, units = experiment.read(experiment.config, folder)
    observed = observe(experiment.config, experiment.texts, [])
    mapped = experiment.maps("trained", signals, observed, settings.model)
    masks = fdr_networks(mapped.over_scans, settings.alpha)
    follows = units.neuron == (COORDINATE if site == "residual" else UNIT)
    if site == "mlp":
        follows &= units.layer == LAYER
    return dict(zip(experiment.tasks, masks, strict=True)), follows


def test_the_unit_of_the_list_is_found(model: Path, tmp_path: Path) -> None:
    networks, follows = found(model, tmp_path, 0, "mlp")
    assert follows.sum() == 1
    assert networks["listed"][follows].all()
    assert networks["listed"].sum() <= 3
    assert networks["plain"].sum() <= 2


def test_the_coordinate_of_the_list_is_found_in_every_layer(model: Path, tmp_path: Path) -> None:
    networks, follows = found(model, tmp_path, 0, "residual")
    assert follows.sum() == LAYERS
    assert networks["listed"][follows].all()
    assert not networks["plain"][follows].any()


@pytest.mark.campaign
def test_false_discoveries_are_as_rare_as_asked_for(model: Path, tmp_path: Path) -> None:
    """Over seeds of prompts, continuations and scans: FDP of the list, and any unit of none."""
    proportions, any_of_none = [], []
    for seed in range(SEEDS):
        networks, follows = found(model, tmp_path, seed, "mlp")
        own = networks["listed"]
        assert own[follows].all(), f"not found with seed {seed}"
        proportions.append((own & ~follows).sum() / own.sum())
        any_of_none.append(networks["plain"].any())
    for rates in (proportions, any_of_none):
        error = np.std(rates, ddof=1) / np.sqrt(SEEDS)
        assert np.mean(rates) <= RATE + 2 * error
