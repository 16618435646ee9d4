"""Maps of all scans: what a general linear model says of every unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.task_mapping.design import Design, Model, make_design
from experiments.task_mapping.glm import Fit, fit, fixed_effects
from experiments.task_mapping.inference import active, fdr_threshold, share_active
from experiments.task_mapping.settings import TaskMapping
from experiments.task_mapping.signals import Signals
from experiments.task_mapping.stimuli import Scan
from experiments.task_mapping.streaming import fit_stream

Maps = NDArray[np.float32]
Item = TypeVar("Item")
# Level at which null scans are counted, uncorrected.
LEVEL = 0.001
# Bytes of a scan's signals in float64 up to which nilearn fits them at once.
_AT_ONCE = 1 << 28


@dataclass(frozen=True, eq=False)
class Mapped:
    """z maps of the scans, task − off; units that are left out are NaN.

    Attributes
    ----------
    z : ndarray of float32, shape (n_tasks, n_scans, n_units)
        Of every scan of every task.
    z_null : ndarray of float32, shape (n_null, n_units)
        Of null scans.
    over_scans, over_half : ndarray of float32, shape (n_tasks, n_units)
        Fixed effects over all scans of a task, and over the first half of them.
    active, active_null : ndarray of float64, shape (n_tasks, n_scans) and (n_null,)
        Share of units in a scan's network at the false discovery rate.
    positive_null : ndarray of float64, shape (n_null,)
        Share of units with p below `LEVEL` in null scans.
    """

    z: Maps
    z_null: Maps
    over_scans: Maps
    over_half: Maps
    active: NDArray[np.float64]
    active_null: NDArray[np.float64]
    positive_null: NDArray[np.float64]

    @property
    def left_out(self) -> NDArray[np.bool_]:
        """Units without a value in any scan of a task, shape (n_units,)."""
        return np.asarray(np.isnan(self.over_scans).any(axis=0))


@dataclass(frozen=True, eq=False)
class Observed:
    """What designs are made of.

    Attributes
    ----------
    tokens : ndarray of int64, shape (n_prompts,)
        Tokens that are read of every prompt.
    nuisance : sequence of DataFrame
        Of every prompt, a row a token; without columns if there are none.
    """

    tokens: NDArray[np.int64]
    nuisance: Sequence[pd.DataFrame]

    def design(self, scan: Scan, model: str) -> Design:
        """Return the design of a scan."""
        rows = pd.concat([self.nuisance[prompt] for prompt in scan.prompts], ignore_index=True)
        given = rows if rows.shape[1] else None
        return make_design(scan.on, self.tokens[scan.prompts], cast(Model, model), given)


def map_scans(
    name: str,
    signals: Signals,
    of_tasks: Sequence[Scan],
    null: Sequence[Scan],
    observed: Observed,
    settings: TaskMapping,
    device: torch.device,
) -> Mapped:
    """Fit every scan.

    Parameters
    ----------
    name : str
        What the signals are of, for the progress bar.
    signals : Signals
        One row a prompt for means of prompts, else one a token.
    of_tasks, null : sequence of Scan
        Of `plan_scans`.
    observed : Observed
        Tokens and nuisance regressors of the prompts.
    settings : TaskMapping
        Model, number of scans, false discovery rate.
    device : torch.device
        Where scans that are too large for nilearn are fitted.
    """
    bar = tqdm(
        total=len(of_tasks) + len(null), desc=name, unit="scan", disable=None, leave=False, delay=2
    )

    def fitted(scan: Scan) -> Fit:
        bar.update()
        return fit_scan(signals, scan, observed.design(scan, settings.model), device)

    def share(z: NDArray[np.floating]) -> float:
        return _share(active(z, fdr_threshold(z, settings.alpha)), z)

    z, over_scans, over_half = list[Maps](), list[Maps](), list[Maps]()
    for start in range(0, len(of_tasks), settings.scans):
        fits = [fitted(scan) for scan in of_tasks[start : start + settings.scans]]
        z.append(np.stack([one.z for one in fits]).astype(np.float32))
        over_scans.append(fixed_effects(fits).z.astype(np.float32))
        over_half.append(fixed_effects(first_half(fits)).z.astype(np.float32))
    fits = [fitted(scan) for scan in null]
    bar.close()
    return Mapped(
        z=np.stack(z),
        z_null=np.stack([one.z for one in fits]).astype(np.float32),
        over_scans=np.stack(over_scans),
        over_half=np.stack(over_half),
        active=np.array([[share(one) for one in own] for own in z]),
        active_null=np.array([share(one.z) for one in fits]),
        positive_null=np.array([share_active(one.p, LEVEL) for one in fits]),
    )


def fit_scan(signals: Signals, scan: Scan, design: Design, device: torch.device) -> Fit:
    """Fit a scan by nilearn; if it is large, or there is a GPU, piece by piece."""
    n_rows = int(signals.lengths[scan.prompts].sum())
    if device.type == "cpu" and 8 * n_rows * signals.n_units <= _AT_ONCE:
        return fit(signals.rows(scan.prompts), design)
    return fit_stream(
        signals.chunks(scan.prompts), design, signals.n_units, torch.float64, str(device)
    )


def first_half(scans: Sequence[Item]) -> Sequence[Item]:
    """Return the scans in which networks are found that are tested on prompts of the others.

    Examples
    --------
    >>> first_half([0, 1, 2, 3, 4])
    [0, 1]
    """
    return scans[: len(scans) // 2]


def _share(mask: NDArray[np.bool_], z: NDArray[np.floating]) -> float:
    """Return the share of the units that have a value."""
    return float(mask.sum() / max(1, np.isfinite(z).sum()))
