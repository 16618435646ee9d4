"""Name the task of a scan by the maps of other scans, and reject scans without a task."""

import math
from itertools import permutations as orders
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.design import Matrix
from probe.api import UserError, plural

Numbers = NDArray[np.int64]
Maps = NDArray[np.floating]


class Identification(NamedTuple):
    """Tasks of scans, named by templates of the other scans.

    Attributes
    ----------
    scores : ndarray of float64, shape (n_tasks, n_scans, n_tasks)
        Correlation of each scan's map with every task's template.
    named : ndarray of int64, shape (n_tasks, n_scans)
        The task of the highest score.
    confusion : ndarray of int64, shape (n_tasks, n_tasks)
        Scans of each task (row) by the task that was named (column).
    accuracy, chance : float
        Share of scans that were named right, and 1 over the number of tasks.
    p : float
        Share of labellings of the scans that give this accuracy or more.
    smallest : float
        The smallest p there can be.
    exact : bool
        Whether p is over all labellings, each once.
    """

    scores: Matrix
    named: Numbers
    confusion: Numbers
    accuracy: float
    chance: float
    p: float
    smallest: float
    exact: bool


class OpenSet(NamedTuple):
    """What naming is worth when a scan may have no task.

    Attributes
    ----------
    rate : float
        Share of null scans that may pass: as asked, or the least that so few null scans allow.
    rejected : float
        Share of null scans that are rejected by a threshold set on the other null scans.
    kept : float
        Share of task scans that are not rejected by the threshold of all null scans.
    named : float
        Share of task scans that are kept and named right.
    null_scores : ndarray of float64, shape (n_null, n_scans)
        The highest score of each null scan, by the scan that the templates leave out.
    """

    rate: float
    rejected: float
    kept: float
    named: float
    null_scores: Matrix


def identify(maps: Maps, permutations: int = 1000, seed: int = 0) -> Identification:
    """Name the task of every scan by the tasks' mean maps over all scans of other numbers.

    Parameters
    ----------
    maps : ndarray of float, shape (n_tasks, n_scans, n_units)
        z maps; units that any of them leaves out are left out.
    permutations : int
        Labellings that are drawn for p; if there are no more than this, each is taken once.
    seed : int
        Of the draws.

    Raises
    ------
    UserError
        If there are fewer than two tasks, scans or units.

    Notes
    -----
    Scans of one number are left out of all templates at once, so that templates are means of
    equally many maps. A labelling exchanges the tasks of the scans of each number; as templates
    are made again from it, it costs a look into the products of maps.
    """
    products = _products(maps)
    n_tasks, n_scans = maps.shape[:2]
    scores = _scores(products, np.arange(n_tasks * n_scans).reshape(n_tasks, n_scans))
    named = scores.argmax(axis=2)
    own = np.arange(n_tasks)[:, None]
    confusion = np.zeros((n_tasks, n_tasks), dtype=np.int64)
    np.add.at(confusion, (np.broadcast_to(own, named.shape), named), 1)
    accuracy = float((named == own).mean())
    labellings, exact = _labellings(n_tasks, n_scans, permutations, seed)
    reached = [
        (_scores(products, numbers).argmax(axis=2) == own).mean() >= accuracy - 1e-12
        for numbers in labellings
    ]
    return Identification(
        scores, named, confusion, accuracy, 1 / n_tasks,
        float(np.mean(reached)), 1 / len(labellings), exact,
    )  # fmt: skip


def open_set(maps: Maps, null_maps: Maps, rate: float = 0.05) -> OpenSet:
    """Reject scans whose highest score null scans reach, too; name the others.

    Parameters
    ----------
    maps : ndarray of float, shape (n_tasks, n_scans, n_units)
        z maps of scans with a task.
    null_maps : ndarray of float, shape (n_null, n_units)
        z maps of scans without.
    rate : float
        Share of null scans that may pass.

    Raises
    ------
    UserError
        If there are fewer than two tasks, scans, null scans or units.

    Notes
    -----
    The threshold is the ⌈(n + 1)(1 − rate)⌉-th smallest of the scores of n null scans, which
    another null scan exceeds with probability `rate` at most (Vovk et al. 2005, Algorithmic
    Learning in a Random World, section 4.2.1).
    """
    n_null = len(null_maps)
    if n_null < 2:
        raise UserError(
            f"a null scan is rejected by a threshold of other null scans, and {n_null} came; "
            "give more scans or tasks"
        )
    n_tasks, n_scans = maps.shape[:2]
    products = _products(maps, null_maps)
    numbers = np.arange(n_tasks * n_scans).reshape(n_tasks, n_scans)
    nulls = numbers.size + np.arange(n_null)
    null_scores = np.empty((n_null, n_scans))
    for scan in range(n_scans):
        training = np.delete(numbers, scan, axis=1)
        null_scores[:, scan] = _correlations(products, training, nulls).max(axis=1)
    rate = max(rate, 1 / n_null)
    others = np.array([np.delete(null_scores, null, axis=0) for null in range(n_null)])
    passed = null_scores > _threshold(others, rate)
    scores = _scores(products, numbers)
    kept = scores.max(axis=2) > _threshold(null_scores, rate)
    right = scores.argmax(axis=2) == np.arange(n_tasks)[:, None]
    return OpenSet(
        rate, 1 - float(passed.mean()), float(kept.mean()), float((kept & right).mean()),
        null_scores,
    )  # fmt: skip


def _threshold(scores: Matrix, rate: float) -> Matrix:
    """Return the threshold of null scans, shape (..., n_null, n_scans), by scan."""
    n = scores.shape[-2]
    rank = math.ceil((n + 1) * (1 - rate) - 1e-9)
    threshold: Matrix = np.sort(scores, axis=-2)[..., rank - 1, :]
    return threshold


def _products(maps: Maps, *further: Maps) -> Matrix:
    """Return the products of all maps, each less its mean over units; refuse too few."""
    n_tasks, n_scans, n_units = maps.shape
    for n, what in ((n_tasks, "task"), (n_scans, "scan")):
        if n < 2:
            raise UserError(
                f"tasks are named among others by the maps of other scans, and {plural(n, what)} "
                f"came; give at least 2 {what}s"
            )
    rows = np.concatenate([maps.reshape(-1, n_units), *further]).astype(np.float64)
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    if rows.shape[1] < 2:
        raise UserError(
            f"{plural(rows.shape[1], 'unit')} of {n_units} varies in all scans, and maps are "
            "compared over units; read more units"
        )
    rows -= rows.mean(axis=1, keepdims=True)
    products: Matrix = rows @ rows.T
    return products


def _scores(products: Matrix, numbers: Numbers) -> Matrix:
    """Return scores of all scans, shape (n_tasks, n_scans, n_tasks), each by the others' templates.

    `numbers`, of shape (n_tasks, n_scans), says which map is labelled as which scan.
    """
    scores = np.empty((*numbers.shape, len(numbers)))
    for scan in range(numbers.shape[1]):
        training = np.delete(numbers, scan, axis=1)
        scores[:, scan] = _correlations(products, training, numbers[:, scan])
    return scores


def _correlations(products: Matrix, training: Numbers, tests: Numbers) -> Matrix:
    """Return r of maps and templates, shape (n_tests, n_tasks).

    A template is the mean of the maps numbered in a row of `training`, shape (n_tasks, n_maps).
    """
    shared = products[training][:, :, tests].mean(axis=1).T
    own = products[training[:, :, None], training[:, None, :]].mean(axis=(1, 2))
    r: Matrix = shared / np.sqrt(own * products[tests, tests][:, None])
    return r


def _labellings(
    n_tasks: int, n_scans: int, permutations: int, seed: int
) -> tuple[list[Numbers], bool]:
    """Return which map is labelled as which scan, the true labelling first, and if these are all.

    Scans of the first number keep their tasks: names of tasks do not matter, only which scans
    share one.
    """
    own = np.arange(n_tasks * n_scans).reshape(n_tasks, n_scans)
    exact = math.factorial(n_tasks) ** (n_scans - 1) <= permutations
    if exact:
        drawn = [
            np.stack([np.arange(n_tasks), *chosen], axis=1)
            for chosen in product(orders(range(n_tasks)), repeat=n_scans - 1)
        ]
    else:
        rng = np.random.default_rng(seed)
        tasks = np.tile(np.arange(n_tasks)[:, None], (1, n_scans))
        drawn = [tasks, *(rng.permuted(tasks, axis=0) for _ in range(permutations))]
    return [np.take_along_axis(own, chosen, axis=0) for chosen in drawn], exact
