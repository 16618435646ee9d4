"""Are maps alike? Between tasks, over the scans of one task, and beside null scans."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.agreement import Overlap, icc, map_correlations, overlap
from experiments.task_mapping.mapping import Mapped, Maps
from experiments.task_mapping.networks import Masks, differs, fdr_networks, top_networks
from experiments.task_mapping.settings import TaskMapping

Row = dict[str, Any]
Matrix = NDArray[np.float64]


def overlap_rows(
    features: str, tasks: Sequence[str], mapped: Mapped, settings: TaskMapping
) -> list[Row]:
    """Return a row for every two tasks and kind of network: how far they overlap.

    Networks are those over all scans. Their scans share off-prompts, which makes maps alike without
    a reason; `dice_across` and `r_across` are of one half of the scans of the first task and the
    other half of those of the second, which share no prompt, and the mean of both ways. Beside them
    `_own` is the mean of the two tasks' agreement with themselves, half with half.

    Parameters
    ----------
    features : str
        What the maps are of.
    tasks : sequence of str
        In the order of the maps.
    mapped : Mapped
        The maps.
    settings : TaskMapping
        Rate and share of networks.
    """
    maps, halves, n = mapped.over_scans, np.concatenate(mapped.over_halves), len(tasks)
    r, r_halves, rows = map_correlations(maps), map_correlations(halves), list[Row]()
    rules = {"fdr": (fdr_networks, settings.alpha), "top": (top_networks, settings.top)}
    for rule, (networks, limit) in rules.items():
        whole, half = networks(maps, limit), networks(halves, limit)
        for one, two in combinations(range(n), 2):
            found = _overlap(maps, whole, one, two)
            across, own = ((one, n + two), (two, n + one)), ((one, n + one), (two, n + two))
            of_halves = [_overlap(halves, half, *pair) for pair in across]
            of_own = [_overlap(halves, half, *pair) for pair in own]
            rows.append(
                {
                    "features": features,
                    "rule": rule,
                    "first": tasks[one],
                    "second": tasks[two],
                    "units_first": int(whole[one].sum()),
                    "units_second": int(whole[two].sum()),
                    "units_both": found.shared,
                    "dice": found.dice,
                    "jaccard": found.jaccard,
                    "expected": found.expected,
                    "excess": found.excess,
                    "p": found.p,
                    "r": float(r[one, two]),
                    "dice_across": float(np.mean([each.dice for each in of_halves])),
                    "excess_across": float(np.mean([each.excess for each in of_halves])),
                    "r_across": float(np.mean([r_halves[pair] for pair in across])),
                    "dice_own": float(np.mean([each.dice for each in of_own])),
                    "r_own": float(np.mean([r_halves[pair] for pair in own])),
                }
            )
    return rows


def _overlap(maps: Maps, masks: Masks, first: int, second: int) -> Overlap:
    """Return the overlap of two networks, among the units that could be in either."""
    could = differs(maps[first]) | differs(maps[second])
    return overlap(masks[first], masks[second], int(could.sum()))


def repeatability_rows(
    features: str, tasks: Sequence[str], mapped: Mapped, settings: TaskMapping
) -> list[Row]:
    """Return a row for each task: how alike its scans are, beside those of other tasks and null.

    Means over pairs of scans: both of the task (`same`, with their range), one of another task
    (`between`), both without a task (`null`, the same in all rows). Pairs of tasks' scans have
    different numbers, and so no prompt in common.
    """
    n_tasks, n_scans, n_units = mapped.z.shape
    maps = np.concatenate([mapped.z.reshape(-1, n_units), mapped.z_null])
    of = np.concatenate([np.repeat(np.arange(n_tasks), n_scans), np.full(len(mapped.z_null), -1)])
    numbers = np.tile(np.arange(n_scans), n_tasks)
    measures = {
        "dice": dice_between(top_networks(maps, settings.top)),
        "dice_fdr": dice_between(fdr_networks(maps, settings.alpha)),
        "r": map_correlations(maps),
    }
    rows, without = [], list(combinations(np.flatnonzero(of < 0), 2))
    for number, task in enumerate(tasks):
        own = np.flatnonzero(of == number)
        pairs = {
            "same": list(combinations(own, 2)),
            "between": [
                (one, other)
                for one, other in product(own, np.flatnonzero((of >= 0) & (of != number)))
                if numbers[one] != numbers[other]
            ],
            "null": without,
        }
        row: Row = {"features": features, "task": task, "scans": len(own)}
        for name, values in measures.items():
            for kind, listed in pairs.items():
                each = np.array([values[pair] for pair in listed])
                row[f"{name}_{kind}"] = float(np.mean(each))
                if kind == "same":
                    row |= {f"{name}_least": float(each.min()), f"{name}_most": float(each.max())}
        rows.append(row | {"icc": icc(mapped.z[number])})
    return rows


def dice_between(masks: NDArray[np.bool_]) -> Matrix:
    """Return 2 |A ∩ B| / (|A| + |B|) of every two masks; NaN of two empty ones.

    Parameters
    ----------
    masks : ndarray of bool, shape (n_masks, n_units)

    Examples
    --------
    >>> dice_between(np.array([[True, True, False], [False, True, False]])).round(3).tolist()
    [[1.0, 0.667], [0.667, 1.0]]
    """
    # Sums of ones are exact in float32, whose product is quick, up to 2²⁴ units.
    shared = masks.astype(np.float32) @ masks.astype(np.float32).T
    sizes = masks.sum(axis=1).astype(np.float64)
    both = sizes[:, None] + sizes
    dice: Matrix = np.full_like(both, np.nan)
    np.divide(2.0 * shared, both, out=dice, where=both > 0)
    return dice
