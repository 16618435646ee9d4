"""Naming the task of a scan by its map, and leaving scans without a task unnamed."""

from collections.abc import Sequence
from typing import Any

from experiments.task_mapping.identification import identify, open_set
from experiments.task_mapping.mapping import Mapped
from experiments.task_mapping.settings import TaskMapping

Row = dict[str, Any]


def naming(
    features: str, tasks: Sequence[str], mapped: Mapped, settings: TaskMapping
) -> tuple[Row, list[Row]]:
    """Name every scan by templates of the others, and return a row, and those of the confusion.

    Parameters
    ----------
    features : str
        What the maps are of.
    tasks : sequence of str
        In the order of the maps.
    mapped : Mapped
        The maps.
    settings : TaskMapping
        Permutations, and the rate at which null scans may pass.
    """
    named = identify(mapped.z, settings.permutations, settings.seed)
    opened = open_set(mapped.z, mapped.z_null, settings.reject)
    row = {
        "features": features,
        "scans": int(named.confusion.sum()),
        "right": int(named.confusion.trace()),
        "accuracy": named.accuracy,
        "chance": named.chance,
        "p": named.p,
        "smallest_p": named.smallest,
        "null_scans": len(mapped.z_null),
        "rate": opened.rate,
        "null_rejected": opened.rejected,
        "tasks_kept": opened.kept,
        "kept_and_right": opened.named,
    }
    confusion = [
        {"features": features, "task": task, "named": other, "scans": int(count)}
        for task, counts in zip(tasks, named.confusion, strict=True)
        for other, count in zip(tasks, counts, strict=True)
    ]
    return row, confusion
