"""Scans: which prompts are read in which order, off, on, …, off."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.prompts import Numbers, Prompts
from experiments.task_mapping.settings import TaskMapping
from probe.api import UserError, plural

logger = logging.getLogger(__name__)
# Random streams of scans of tasks, of null scans, and of dealing out.
_TASK, _NULL, _DEAL = range(3)


@dataclass(frozen=True, eq=False)
class Scan:
    """The prompts of a scan.

    Attributes
    ----------
    task : str
        The task; of a null scan, the one whose off-prompts are in all blocks.
    number : int
        Counts the scans of a task, and the null scans, from 0.
    prompts : ndarray of int64, shape (n_prompts,)
        Numbers of the prompts, in the order of the scan.
    on : ndarray of bool, shape (n_prompts,)
        True in on-blocks.
    """

    task: str
    number: int
    prompts: Numbers
    on: NDArray[np.bool_]


def plan_scans(prompts: Prompts, settings: TaskMapping) -> tuple[list[Scan], list[Scan]]:
    """Choose the prompts of all scans: those of tasks, task by task, and null scans.

    Prompts are dealt out to the scans' numbers. A scan has prompts of its number only, so that two
    scans of different numbers share none, whatever their tasks: maps that are compared, and
    templates and the scans that they name, have no prompt in common. Off-prompts are drawn at
    random over topics, so that none fills a block, and never twice in a scan. They recur in scans
    of other tasks, and in null scans, which have them of all numbers.

    Raises
    ------
    UserError
        If there are too few prompts.
    """
    on = blocks_on(settings)
    n_on, n_off = int(on.sum()), int((~on).sum())
    of_number = deal(prompts.topics, settings.scans, settings.seed)
    of_tasks, null, recurring = list[Scan](), list[Scan](), list[str]()
    for place, task in enumerate(prompts.tasks):
        own, off = prompts.of(task), prompts.off(task)
        _check(task, own, off, settings, n_on, len(on))
        rng = np.random.default_rng([settings.seed, _TASK, place])
        for number in range(settings.scans):
            here, there = off[of_number[off] == number], off[of_number[off] != number]
            drawn = [draw_over_topics(some, prompts.topics, n_off, rng) for some in (here, there)]
            chosen = np.empty(len(on), dtype=np.int64)
            chosen[on] = rng.permutation(own[of_number[own] == number])[:n_on]
            chosen[~on] = np.concatenate(drawn)[:n_off]
            of_tasks.append(Scan(task, number, chosen, on))
            if len(here) < n_off and task not in recurring:
                recurring.append(task)
    if recurring:
        logger.warning(
            "scans of %s share off-prompts, as %d scans need %d each and there are fewer: maps "
            "over all scans are too sure, and scans look alike without a reason; give more prompts "
            "of other topics, or fewer scans", ", ".join(recurring), settings.scans, n_off,
        )  # fmt: skip
    for number in range(settings.null_scans or len(of_tasks)):
        task = prompts.tasks[number % len(prompts.tasks)]
        rng = np.random.default_rng([settings.seed, _NULL, number])
        chosen = draw_over_topics(prompts.off(task), prompts.topics, len(on), rng)
        null.append(Scan(task, number, rng.permutation(chosen), on))
    return of_tasks, null


def deal(topics: NDArray[np.str_], scans: int, seed: int) -> Numbers:
    """Return which scans, by their number, every prompt may be in, shape (n_prompts,).

    Topic by topic, each at random, so that every number has as many of a topic, but for one, and
    topics with a prompt or two are spread over all numbers.

    Examples
    --------
    >>> deal(np.repeat(["a", "b"], [4, 2]), 2, seed=0)
    array([0, 0, 1, 1, 0, 1])
    """
    rng = np.random.default_rng([seed, _DEAL])
    order = np.lexsort((rng.random(len(topics)), np.unique(topics, return_inverse=True)[1]))
    dealt = np.empty(len(topics), dtype=np.int64)
    dealt[order] = np.arange(len(topics)) % scans
    return dealt


def blocks_on(settings: TaskMapping) -> NDArray[np.bool_]:
    """Return which prompts of a scan are on, shape (n_prompts,): every second block.

    Examples
    --------
    >>> blocks_on(TaskMapping(blocks=3, prompts=2)).tolist()
    [False, False, True, True, False, False]
    """
    return np.asarray(np.repeat(np.arange(settings.blocks) % 2 == 1, settings.prompts))


def draw_over_topics(
    off: Numbers, topics: NDArray[np.str_], n: int, rng: np.random.Generator
) -> Numbers:
    """Draw different prompts in rounds, in each of which every topic has one, at random.

    Parameters
    ----------
    off : ndarray of int64
        Numbers of the prompts to draw from.
    topics : ndarray of str, shape (n_prompts,)
        The topic of every prompt.
    n : int
        How many to draw.
    rng : Generator
        Of the draws.
    """
    shuffled = rng.permutation(off)
    rounds = np.empty(len(shuffled), dtype=np.int64)
    for topic in np.unique(topics[shuffled]):
        own = topics[shuffled] == topic
        rounds[own] = np.arange(own.sum())
    return np.asarray(shuffled[np.argsort(rounds, kind="stable")[:n]])


def read_in(scans: Sequence[Scan]) -> Numbers:
    """Return the numbers of all prompts of some scans, ascending, each once."""
    return np.unique(np.concatenate([scan.prompts for scan in scans]))


def among(scans: Sequence[Scan], numbers: Numbers) -> list[Scan]:
    """Return scans without the prompts that are not among those numbered, which count from 0.

    Examples
    --------
    >>> [scan] = among([Scan("a", 0, np.array([9, 4, 7]), np.arange(3) == 1)], np.array([7, 9]))
    >>> scan.prompts.tolist(), scan.on.tolist()
    ([1, 0], [False, False])
    """
    found = []
    for scan in scans:
        kept = np.isin(scan.prompts, numbers)
        places = np.searchsorted(numbers, scan.prompts[kept])
        found.append(replace(scan, prompts=places, on=scan.on[kept]))
    return found


def _check(
    task: str, own: Numbers, off: Numbers, settings: TaskMapping, need: int, n_prompts: int
) -> None:
    if len(own) < settings.scans * need:
        raise UserError(
            f"task '{task}' has {plural(len(own), 'prompt')}, and study.scans={settings.scans} "
            f"scans with {plural(settings.blocks // 2, 'on-block')} of study.prompts="
            f"{settings.prompts} need {settings.scans * need}, none twice; give more prompts, or "
            "fewer scans, blocks or prompts a block"
        )
    if len(off) < n_prompts:
        raise UserError(
            f"{plural(len(off), 'prompt')} of other topics are off for task '{task}', and a null "
            f"scan of study.blocks={settings.blocks} blocks of study.prompts={settings.prompts} "
            f"needs {n_prompts}, none twice; give more prompts of other topics, or fewer blocks "
            "or prompts a block"
        )
