"""From statistics to active units: two-sided p values, and thresholds of |z|."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.task_mapping.design import Matrix
from experiments.task_mapping.library import nilearn_glm


def two_sided_p(t: Matrix, dof: float) -> Matrix:
    """Return the two-sided p value of Student's t; NaN where t is."""
    p: Matrix = 2 * stats.t.sf(np.abs(t), dof)
    return p


def fdr_threshold(z: Matrix, q: float = 0.05) -> float:
    """Return the least |z| at which the false discovery rate is q; infinite if there is none.

    Parameters
    ----------
    z : ndarray of float64, shape (n_units,)
        Normal scores; NaN for units left out, which count as no test.
    q : float
        Share of false discoveries among units declared active, of either sign.

    Notes
    -----
    Benjamini & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x. nilearn's `fdr_threshold`
    is one-sided: with |z| and q/2 it is the two-sided one.

    Examples
    --------
    >>> z = np.array([-5.0, 4.0, 0.5, np.nan])
    >>> active(z, fdr_threshold(z))
    array([ True,  True, False, False])
    """
    tested = np.abs(z[~np.isnan(z)])
    return float(nilearn_glm().fdr_threshold(tested, q / 2)) if len(tested) else float("inf")


def bonferroni_threshold(n_tests: int, alpha: float = 0.05) -> float:
    """Return the |z| that any of the tests exceeds by chance with probability alpha at most.

    Examples
    --------
    >>> round(bonferroni_threshold(1), 2)
    1.96
    """
    return float(stats.norm.isf(alpha / 2 / max(1, n_tests)))


def active(z: Matrix, threshold: float) -> NDArray[np.bool_]:
    """Return which units are active, shape (n_units,): |z| at or above it; NaN never."""
    return np.abs(z) >= threshold


def share_active(p: Matrix, level: float = 0.001) -> float:
    """Return the share of tested units with p below a level; NaN if no unit was tested.

    In a null scan it is the false positive rate, to be read beside the level.

    Examples
    --------
    >>> share_active(np.array([1e-4, 0.5, np.nan]))
    0.5
    """
    tested = p[~np.isnan(p)]
    return float((tested < level).mean()) if len(tested) else float("nan")
