"""What scans without a task show: the share of units that are called different all the same."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.intervals import with_interval
from experiments.statistics import bootstrap
from experiments.task_mapping.mapping import LEVEL, Mapped
from experiments.task_mapping.settings import TaskMapping
from probe.api import plural, show

logger = logging.getLogger(__name__)
Row = dict[str, Any]


def null_row(features: str, model: str, mapped: Mapped, settings: TaskMapping) -> Row:
    """Return the false positive share of null scans, with intervals over them, beside tasks'.

    Parameters
    ----------
    features : str
        What the maps are of.
    model : str
        Observations and noise.
    mapped : Mapped
        The maps.
    settings : TaskMapping
        Seed and number of draws.
    """
    names = [str(number) for number in range(len(mapped.positive_null))]

    def interval(shares: NDArray[np.float64]) -> tuple[float, float]:
        return bootstrap(
            lambda scans: float(shares[scans].mean()), names, settings.seed, settings.repetitions
        )

    low, high = interval(mapped.positive_null)
    active_low, active_high = interval(mapped.active_null)
    share = float(mapped.positive_null.mean())
    return {
        "features": features,
        "model": model,
        "null_scans": len(names),
        "level": LEVEL,
        "share": share,
        "low": low,
        "high": high,
        "times_nominal": share / LEVEL,
        "fdr": settings.alpha,
        "active_null": float(mapped.active_null.mean()),
        "active_null_low": active_low,
        "active_null_high": active_high,
        "null_scans_with_any": int((mapped.active_null > 0).sum()),
        "active_tasks": float(mapped.active.mean()),
        **_familywise(mapped),
    }


def _familywise(mapped: Mapped) -> Row:
    """Return what max-T finds; nothing where it was not asked for."""
    if np.isnan(mapped.smallest_p):
        return {}
    return {
        "null_scans_with_any_max_t": int((mapped.familywise_null > 0).sum()),
        "active_tasks_max_t": float(mapped.familywise.mean()),
        "smallest_p_max_t": mapped.smallest_p,
    }


def log_null(rows: list[Row]) -> None:
    """Log a line for each row: what is called different where nothing is."""
    header = [
        "null scans", f"share at p < {LEVEL:g} [95 %]", "× nominal", "FDR share", "of task scans"
    ]  # fmt: skip
    show(
        header,
        (
            [
                f"{row['features']}, {row['model']}",
                with_interval(row["share"], row["low"], row["high"], row["null_scans"], form=".2%"),
                f"{row['times_nominal']:.2g}",
                f"{row['active_null']:.2%}",
                f"{row['active_tasks']:.1%}",
            ]
            for row in rows
        ),
    )
    for row in rows:
        if "smallest_p_max_t" in row:
            logger.info(
                "max-T by permutation of %s: units in %d of %s, %.2g%% of units in those of tasks; "
                "the smallest p there can be is %.2g", _moved(row["model"]),
                row["null_scans_with_any_max_t"], plural(row["null_scans"], "null scan"),
                100 * row["active_tasks_max_t"], row["smallest_p_max_t"],
            )  # fmt: skip


def _moved(model: str) -> str:
    return "prompts" if model == "prompt_ols" else "whole blocks"
