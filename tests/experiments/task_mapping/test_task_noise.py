"""Prompts whose signals are noise: tasks are named at chance, and maps agree nowhere."""

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.task_mapping.comparison import overlap_rows, repeatability_rows
from experiments.task_mapping.mapping import map_scans
from experiments.task_mapping.naming import naming
from experiments.task_mapping.observed import Observed
from experiments.task_mapping.prompts import Prompts
from experiments.task_mapping.settings import TaskMapping
from experiments.task_mapping.signals import Signals
from experiments.task_mapping.stimuli import plan_scans
from probe.api import Document

TASKS, UNITS = 6, 300
# As in data=tasks: 120 off-prompts, which scans of all tasks must share.
TOPICS = [f"task {task}" for task in range(TASKS) for _ in range(60)]
TOPICS += [f"topic {topic}" for topic in range(15) for _ in range(8)]
PROMPTS = Prompts(
    [Document(str(number), "text") for number in range(len(TOPICS))],
    np.array(TOPICS),
    [f"task {task}" for task in range(TASKS)],
)


def agreement(seed: int) -> dict[str, float]:
    settings = TaskMapping(seed=seed, null_scans=20, permutations=1)
    of_tasks, null = plan_scans(PROMPTS, settings)
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(TOPICS), UNITS)).astype(np.float32)
    one = np.ones(len(TOPICS), dtype=np.int64)
    observed = Observed(one, [pd.DataFrame(index=range(1))] * len(TOPICS))
    mapped = map_scans(
        "noise", Signals(values, one), of_tasks, null, observed, settings, torch.device("cpu")
    )
    overlaps = overlap_rows("noise", PROMPTS.tasks, mapped, settings)
    repeated = repeatability_rows("noise", PROMPTS.tasks, mapped, settings)
    named = naming("noise", PROMPTS.tasks, mapped, settings)[0]
    found = {name: np.mean([row[name] for row in overlaps]) for name in ("r", "r_across", "r_own")}
    found |= {
        f"r_{of}": np.mean([row[f"r_{of}"] for row in repeated]) for of in ("same", "between")
    }
    found |= {name: named[name] for name in ("accuracy", "null_rejected", "tasks_kept")}
    return {name: float(value) for name, value in found.items()}


@pytest.mark.campaign
def test_noise_agrees_nowhere_but_where_prompts_are_shared() -> None:
    draws = [agreement(seed) for seed in range(30)]
    mean, error = {}, {}
    for name in draws[0]:
        values = np.array([draw[name] for draw in draws])
        mean[name], error[name] = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    for name in ("r_across", "r_own", "r_same", "r_between"):
        assert abs(mean[name]) < max(3 * error[name], 0.01), name
    assert abs(mean["accuracy"] - 1 / TASKS) < 3 * error["accuracy"]
    assert mean["null_rejected"] >= 0.95 - 3 * error["null_rejected"] - 1e-9
    assert mean["tasks_kept"] < 0.05 + 3 * error["tasks_kept"]
    assert mean["r"] > 0.1, "maps over all scans are alike for their off-prompts alone"
