"""How measures of checkpoints agree with scores, and beyond the number of steps."""

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.multifractal.scores import Scores
from experiments.statistics import interval
from probe.api import UserError, plural

Vector = NDArray[np.float64]
LEAST = 4  # steps; fewer say nothing of a correlation, and none of a partial one
_EXACT = 8  # steps up to which all orders are tried
CLOCK = "log_step"


def agreement_rows(
    steps: Sequence[int],
    measures: Mapping[str, Vector],
    scores: Scores,
    *,
    repetitions: int,
    orders: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Correlate every measure with every task's scores, over the steps that both have.

    Parameters
    ----------
    steps : sequence of int
        In ascending order.
    measures : mapping of str to ndarray of float64, shape (n_steps,)
        With `log_step` among them, which the partial correlation holds fixed.
    scores : mapping
        Value by step, by task.
    repetitions, orders : int
        Draws of the bootstrap, and of permutations where all are too many.
    seed : int
        Of both.

    Returns
    -------
    list of dict
        By task and measure: n, `pearson`, `spearman` and `partial` with the ends of 95 % intervals,
        p of Pearson's r. What is undefined is None.

    Raises
    ------
    UserError
        If no task has scores of enough of the steps.
    """
    rows = list[dict[str, Any]]()
    for task, common in tasks(steps, scores).items():
        y = np.array([scores[task][steps[place]] for place in common])
        blocks = _blocks(len(common), repetitions, seed)
        for name, measured in measures.items():
            x = measured[common]
            given = None if name == CLOCK else measures[CLOCK][common]
            p = permutation_p(x, y, orders, seed)
            named = {"task": task, "measure": name, "n": len(common)}
            rows.append(named | _correlations(x, y, given, blocks) | {"p": p})
    return rows


def tasks(steps: Sequence[int], scores: Scores) -> dict[str, list[int]]:
    """Return the places of the steps that each task has scores of, where these are enough.

    Raises
    ------
    UserError
        If they are of no task.
    """
    common = {
        task: [place for place, step in enumerate(steps) if step in values]
        for task, values in scores.items()
    }
    enough = {task: places for task, places in common.items() if len(places) >= LEAST}
    if not enough:
        raise UserError(
            f"no task of study.scores has values of {LEAST} or more of the "
            f"{plural(len(steps), 'step')} that are measured; give scores of these checkpoints, or "
            "more checkpoints"
        )
    return enough


def _correlations(
    x: Vector, y: Vector, given: Vector | None, blocks: NDArray[np.int64]
) -> dict[str, float | None]:
    """Return the three correlations and the ends of their intervals, None if undefined."""

    def of(at: NDArray[np.int64]) -> tuple[float, float, float]:
        left = math.nan if given is None else partial(x[at], y[at], given[at])
        return pearson(x[at], y[at]), spearman(x[at], y[at]), left

    values, drawn = of(np.arange(len(x))), np.array([of(one) for one in blocks])
    row = dict[str, float | None]()
    for name, value, draws in zip(("pearson", "spearman", "partial"), values, drawn.T, strict=True):
        for end, number in zip(("", "_low", "_high"), (value, *interval(draws)), strict=True):
            row[f"{name}{end}"] = None if math.isnan(number) else number
    return row


def pearson(x: Vector, y: Vector) -> float:
    """Return Pearson's r, NaN where a series is constant.

    Examples
    --------
    >>> pearson(np.array([1.0, 2, 3]), np.array([2.0, 4, 7])).__round__(4)
    0.9934
    """
    if not (np.ptp(x) and np.ptp(y)):  # what is left of a mean may be rounding
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    norm = math.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 1e-300 else math.nan


def spearman(x: Vector, y: Vector) -> float:
    """Return Spearman's rank correlation; ties have their mean rank."""
    ranks = (np.asarray(stats.rankdata(one), dtype=np.float64) for one in (x, y))
    return pearson(*ranks)


def partial(x: Vector, y: Vector, given: Vector) -> float:
    """Return Pearson's r of what a line over a third series leaves of x and y.

    NaN where it leaves nothing. Fisher (1924), The distribution of the partial correlation
    coefficient.
    """
    xy, xz, yz = pearson(x, y), pearson(x, given), pearson(y, given)
    left = 1 - xz**2, 1 - yz**2
    return float((xy - xz * yz) / math.sqrt(math.prod(left))) if min(left) > 1e-12 else math.nan


def permutation_p(x: Vector, y: Vector, draws: int, seed: int) -> float | None:
    """Return the two-sided p of Pearson's r: over all orders of up to 8 steps, else random ones.

    Steps follow each other, so that orders are not equally likely: p is too small where both
    series merely grow.
    """
    observed = abs(pearson(x, y))
    if math.isnan(observed):
        return None
    n = len(x)
    if n <= _EXACT:
        orders = np.array(list(permutations(range(n))))
    else:
        generator = np.random.default_rng(seed)
        orders = np.stack([np.arange(n), *(generator.permutation(n) for _ in range(draws))])
    centred = y - y.mean()
    r = np.abs((x - x.mean())[orders] @ centred) / math.sqrt(
        ((x - x.mean()) @ (x - x.mean())) * (centred @ centred)
    )
    return float((r >= observed - 1e-12).mean())


def _blocks(n: int, repetitions: int, seed: int) -> NDArray[np.int64]:
    """Return draws of whole stretches of steps, shape (repetitions, n).

    Moving blocks of about the cube root of n steps (Künsch 1989; Hall, Horowitz & Jing 1995).
    """
    length = max(2, round(n ** (1 / 3)))
    starts = np.random.default_rng(seed).integers(
        n - length + 1, size=(repetitions, -(-n // length))
    )
    return (starts[:, :, None] + np.arange(length)).reshape(repetitions, -1)[:, :n]
