"""Are maps alike? Between tasks, over the scans of one task, and beside null scans."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.agreement import icc, map_correlations, overlap
from experiments.task_mapping.mapping import Mapped
from experiments.task_mapping.networks import differs, fdr_networks, top_networks
from experiments.task_mapping.settings import TaskMapping

Row = dict[str, Any]
Matrix = NDArray[np.float64]


def overlap_rows(
    features: str, tasks: Sequence[str], mapped: Mapped, settings: TaskMapping
) -> list[Row]:
    """Return a row for every two tasks and kind of network: how far they overlap.

    Parameters
    ----------
    features : str
        What the maps are of.
    tasks : sequence of str
        In the order of the maps.
    mapped : Mapped
        Networks are those over all scans.
    settings : TaskMapping
        Rate and share of networks.
    """
    maps, rows = mapped.over_scans, []
    r = map_correlations(maps)
    networks = {
        "fdr": fdr_networks(maps, settings.alpha),
        "top": top_networks(maps, settings.top),
    }
    for rule, masks in networks.items():
        for first, second in combinations(range(len(tasks)), 2):
            could = differs(maps[first]) | differs(maps[second])
            both = overlap(masks[first], masks[second], int(could.sum()))
            rows.append(
                {
                    "features": features,
                    "rule": rule,
                    "first": tasks[first],
                    "second": tasks[second],
                    "units_first": int(masks[first].sum()),
                    "units_second": int(masks[second].sum()),
                    "units_both": int((masks[first] & masks[second]).sum()),
                    "dice": both.dice,
                    "jaccard": both.jaccard,
                    "expected": both.expected,
                    "excess": both.excess,
                    "p": both.p,
                    "r": float(r[first, second]),
                }
            )
    return rows


def repeatability_rows(
    features: str, tasks: Sequence[str], mapped: Mapped, settings: TaskMapping
) -> list[Row]:
    """Return a row for each task: how alike its scans are, beside those of other tasks and null.

    Means over pairs of scans: both of the task (`same`, with their range), one of another task
    (`between`), both without a task (`null`, the same in all rows).
    """
    n_tasks, n_scans, n_units = mapped.z.shape
    maps = np.concatenate([mapped.z.reshape(-1, n_units), mapped.z_null])
    of = np.concatenate([np.repeat(np.arange(n_tasks), n_scans), np.full(len(mapped.z_null), -1)])
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
            "between": list(product(own, np.flatnonzero((of >= 0) & (of != number)))),
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
    return np.divide(2.0 * shared, both, out=dice, where=both > 0)
