"""Maps of all scans: what a general linear model says of every unit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.task_mapping.design import Design
from experiments.task_mapping.glm import Fit, fit, fixed_effects
from experiments.task_mapping.inference import active, fdr_threshold, share_active
from experiments.task_mapping.observed import Observed
from experiments.task_mapping.permutation import MaxT, max_t
from experiments.task_mapping.settings import TaskMapping
from experiments.task_mapping.signals import Signals
from experiments.task_mapping.stimuli import Scan
from experiments.task_mapping.streaming import fit_stream

Maps = NDArray[np.float32]
Shares = NDArray[np.float64]
Item = TypeVar("Item")
# Level at which null scans are counted, uncorrected.
LEVEL = 0.001
# Bytes of a scan's signals in float64 up to which nilearn fits them at once.
_AT_ONCE = 1 << 28


@dataclass(frozen=True, eq=False)
class Mapped:
    """Maps of the scans, task − off; units that are left out are NaN.

    Attributes
    ----------
    z : ndarray of float32, shape (n_tasks, n_scans, n_units)
        Normal scores in every scan of every task.
    z_null : ndarray of float32, shape (n_null, n_units)
        In null scans.
    effect, over_scans : ndarray of float32, shape (n_tasks, n_units)
        Mean effect, in the unit of the signals, and its z: fixed effects over a task's scans.
    over_halves : ndarray of float32, shape (2, n_tasks, n_units)
        z over each half of a task's scans, see `halves`: the halves of any two tasks share no
        prompt.
    active, active_null : ndarray of float64, shape (n_tasks, n_scans) and (n_null,)
        Share of units at the false discovery rate in each scan.
    positive_null : ndarray of float64, shape (n_null,)
        Share of units with p below `LEVEL` in null scans.
    familywise, familywise_null : ndarray of float64, shape (n_tasks, n_scans) and (n_null,)
        Share of units by max-T; NaN where it was not asked for.
    smallest_p : float
        The smallest p of max-T that there can be.
    dropped : mapping of str to int
        In how many scans a nuisance regressor is constant, or explained by others.
    """

    z: Maps
    z_null: Maps
    effect: Maps
    over_scans: Maps
    over_halves: Maps
    active: Shares
    active_null: Shares
    positive_null: Shares
    familywise: Shares
    familywise_null: Shares
    smallest_p: float
    dropped: Mapping[str, int]


def map_scans(
    name: str,
    signals: Signals,
    of_tasks: Sequence[Scan],
    null: Sequence[Scan],
    observed: Observed,
    settings: TaskMapping,
    device: torch.device,
    permutations: int = 0,
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
    permutations : int
        Arrangements of max-T; 0 leaves it out.
    """
    n_scans, found = settings.scans, _Found(settings.alpha)
    bar = tqdm([*of_tasks, *null], name, unit="scan", disable=None, leave=False, delay=2)
    fits = list[Fit]()
    for scan in bar:
        design = observed.design(scan, settings.model)
        one = fit_scan(signals, scan, design, device)
        rows = signals.rows(scan.prompts) if permutations else None
        permuted = None if rows is None else max_t(rows, design, permutations, settings.seed)
        found.add(one, design, permuted)
        # Only what is kept of the scans of one task is in memory.
        if len(found.z) <= len(of_tasks):
            fits.append(one)
        if len(fits) == n_scans:
            found.add_task(fits)
            fits = []
    return found.mapped(len(of_tasks) // n_scans, n_scans)


class _Found:
    """What is kept of every scan, those of tasks first."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self.z = list[Maps]()
        self._effect, self._over_scans, self._over_halves = list[Maps](), list[Maps](), list[Maps]()
        self._active, self._positive, self._familywise = list[float](), list[float](), list[float]()
        self._smallest_p = float("nan")
        self._dropped = Counter[str]()

    def add(self, one: Fit, design: Design, permuted: MaxT | None) -> None:
        self.z.append(one.z.astype(np.float32))
        self._active.append(share(active(one.z, fdr_threshold(one.z, self._alpha)), one.z))
        self._positive.append(share_active(one.p, LEVEL))
        self._dropped.update(design.dropped)
        if permuted is not None:
            self._smallest_p = permuted.smallest
            reached = permuted.p <= self._alpha
            self._familywise.append(share(reached, permuted.p))

    def add_task(self, fits: Sequence[Fit]) -> None:
        over_all = fixed_effects(fits)
        self._effect.append(over_all.effect.astype(np.float32))
        self._over_scans.append(over_all.z.astype(np.float32))
        over_halves = [fixed_effects(half).z for half in halves(fits)]
        self._over_halves.append(np.array(over_halves, dtype=np.float32))

    def mapped(self, n_tasks: int, n_scans: int) -> Mapped:
        n = n_tasks * n_scans
        z, shares = np.array(self.z), np.array(self._active)
        familywise = np.array(self._familywise or np.full(len(z), np.nan))
        return Mapped(
            z=z[:n].reshape(n_tasks, n_scans, -1),
            z_null=z[n:],
            effect=np.array(self._effect),
            over_scans=np.array(self._over_scans),
            over_halves=np.stack(self._over_halves, axis=1),
            active=shares[:n].reshape(n_tasks, n_scans),
            active_null=shares[n:],
            positive_null=np.array(self._positive[n:]),
            familywise=familywise[:n].reshape(n_tasks, n_scans),
            familywise_null=familywise[n:],
            smallest_p=self._smallest_p,
            dropped=self._dropped,
        )


def fit_scan(signals: Signals, scan: Scan, design: Design, device: torch.device) -> Fit:
    """Fit a scan by nilearn; if it is large, or there is a GPU, piece by piece."""
    n_rows = int(signals.lengths[scan.prompts].sum())
    if device.type == "cpu" and 8 * n_rows * signals.n_units <= _AT_ONCE:
        return fit(signals.rows(scan.prompts), design)
    # Sums are in float64, which Apple's GPUs do not have.
    place = str(device) if device.type == "cuda" else "cpu"
    return fit_stream(signals.chunks(scan.prompts), design, signals.n_units, torch.float64, place)


def halves(scans: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """Return the scans of a task, in the order of their numbers, in two halves.

    Examples
    --------
    >>> halves([0, 1, 2, 3, 4])
    ([0, 1], [2, 3, 4])
    """
    middle = len(scans) // 2
    return scans[:middle], scans[middle:]


def share(mask: NDArray[np.bool_], z: NDArray[np.floating]) -> float:
    """Return the share of the units in a mask, of those that have a value."""
    return float(mask.sum() / max(1, np.isfinite(z).sum()))
