"""Family-wise error by permutation: the largest |t| over units when labels are exchanged."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.design import TASK, Design, Matrix
from experiments.task_mapping.glm import usable

# Units that are correlated with all arrangements at a time.
_UNITS = 4096
# |r| nearer than this are equal but for rounding.
_EQUAL = 1e-9


class MaxT(NamedTuple):
    """Family-wise p values of units, by permutation.

    Attributes
    ----------
    p : ndarray of float64, shape (n_units,)
        Share of arrangements whose largest |t| over units reaches the unit's; NaN for units left
        out.
    smallest : float
        The smallest p that there can be: above alpha, no unit can be active.
    arrangements : int
        Arrangements of the labels, the observed one among them.
    exact : bool
        Whether these are all there are, each once.
    """

    p: Matrix
    smallest: float
    arrangements: int
    exact: bool


def max_t(
    signals: NDArray[np.floating], design: Design, permutations: int = 1000, seed: int = 0
) -> MaxT:
    """Return family-wise p values by exchanging labels of prompts, or of whole blocks of tokens.

    Parameters
    ----------
    signals : ndarray of float, shape (n_observations, n_units)
        Prompt means or tokens, as the design has it.
    design : Design
        Design of the scan; `exchangeable` says what is moved as a whole.
    permutations : int
        Arrangements that are drawn; if there are no more than this, each is taken once.
    seed : int
        Of the draws.

    Notes
    -----
    Nichols & Holmes (2002), doi:10.1002/hbm.1058. Without an effect any prompt might have had the
    task's label, as each is read afresh; tokens of a prompt depend on each other, so whole blocks
    are exchanged. Drift and nuisance stay where they are. With all else projected out, t grows with
    the correlation r of unit and labels, so that all permutations are one matrix product and their
    largest |r| are compared. With AR(1), signals and labels are whitened by the autocorrelation of
    the model without the task, which is the same for all arrangements.
    """
    labels, exact = _arrangements(design, permutations, seed)
    others = design.matrix.drop(columns=TASK).to_numpy(np.float64)
    kept = usable(signals)
    observed = np.full(len(kept), np.nan)
    largest = np.zeros(len(labels))
    units = np.flatnonzero(kept)
    for some in np.split(units, range(_UNITS, len(units), _UNITS)):
        values = signals[:, some].astype(np.float64)
        rho = _autocorrelation(values, others, design)
        for value in np.unique(rho):
            group = rho == value
            r = np.abs(_correlations(labels, values[:, group], others, float(value)))
            observed[some[group]] = r[0]
            np.maximum(largest, r.max(axis=1), out=largest)
    reached = np.searchsorted(np.sort(largest), observed[kept] - _EQUAL)
    p = np.full(len(kept), np.nan)
    p[kept] = (len(labels) - reached) / len(labels)
    same = np.abs(_correlations(labels, labels[:1].T, others, 0.0)) > 1 - _EQUAL
    return MaxT(p, float(same.mean()), len(labels), exact)


def _arrangements(design: Design, permutations: int, seed: int) -> tuple[Matrix, bool]:
    """Return labels of the observations, shape (n_arrangements, n_observations), as observed first.

    Whether all were taken is returned, too.
    """
    _, first, members = np.unique(design.exchangeable, return_index=True, return_inverse=True)
    labels = design.matrix[TASK].to_numpy(np.float64)[first]
    n, n_on = len(labels), int(labels.sum())
    exact = math.comb(n, n_on) <= permutations
    if exact:
        numbers = np.array(list(combinations(range(n), n_on)))
        drawn = np.zeros((len(numbers), n))
        np.put_along_axis(drawn, numbers, 1, axis=1)
        drawn = drawn[(drawn != labels).any(axis=1)]
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.permuted(np.tile(labels, (permutations, 1)), axis=1)
    return np.concatenate([labels[None], drawn])[:, members], exact


def _correlations(labels: Matrix, signals: Matrix, others: Matrix, rho: float) -> Matrix:
    """Return r of labels and units given all else, shape (n_arrangements, n_units)."""
    basis = np.linalg.qr(_whiten(others, rho))[0]
    r: Matrix = _residual(_whiten(labels.T, rho), basis).T @ _residual(_whiten(signals, rho), basis)
    return r


def _residual(columns: Matrix, basis: Matrix) -> Matrix:
    """Return what a basis leaves of columns, of length 1; 0 where that is rounding."""
    residual = columns - basis @ (basis.T @ columns)
    length, whole = np.linalg.norm(residual, axis=0), np.linalg.norm(columns, axis=0)
    residual /= np.where(length > _EQUAL * whole, length, np.inf)
    return residual


def _whiten(columns: Matrix, rho: float) -> Matrix:
    whitened = columns.copy()
    whitened[1:] -= rho * columns[:-1]
    return whitened


def _autocorrelation(signals: Matrix, others: Matrix, design: Design) -> Matrix:
    """Return ρ of every unit without the task, in hundredths towards 0; 0 without AR(1)."""
    if design.model != "tokens_ar1":
        return np.zeros(signals.shape[1])
    residual = _residual(signals, np.linalg.qr(others)[0])
    lagged = np.einsum("tu,tu->u", residual[1:], residual[:-1])
    n = len(residual)
    rho: Matrix = np.trunc(100 * lagged * (n / (n - 1))) / 100
    return rho
