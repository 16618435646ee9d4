"""Fit all units of a scan by nilearn: effect, t, z and p of task − off."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.design import Design, Matrix
from experiments.task_mapping.inference import two_sided_p
from experiments.task_mapping.library import nilearn_glm

# Below this share of 1 + |mean| a unit's deviation is rounding, of which t would be made.
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Fit:
    """A contrast of every unit; NaN for units that are constant or not finite.

    Attributes
    ----------
    effect : ndarray of float64, shape (n_units,)
        In the unit of the signals.
    variance : ndarray of float64, shape (n_units,)
        Of the effect, in its unit squared.
    t, z, p : ndarray of float64, shape (n_units,)
        Student's t, the normal score of the same probability (signed), and the two-sided p value.
    dof : float
        Degrees of freedom of the residuals.
    rho : ndarray of float64, shape (n_units,), optional
        Autocorrelation at lag 1 that was removed, in hundredths towards zero; AR(1) only.
    """

    effect: Matrix
    variance: Matrix
    t: Matrix
    z: Matrix
    p: Matrix
    dof: float
    rho: Matrix | None = None

    @property
    def left_out(self) -> NDArray[np.bool_]:
        """Units that are constant or not finite."""
        return np.isnan(self.effect)


def fit(signals: NDArray[np.floating], design: Design, contrast: Matrix | None = None) -> Fit:
    """Fit a general linear model to every unit of a scan.

    Parameters
    ----------
    signals : ndarray of float, shape (n_observations, n_units)
        Prompt means or tokens, as the design has it.
    design : Design
        Its design matrix and model: ordinary least squares, or AR(1) as nilearn has it.
    contrast : ndarray of float64, shape (n_columns,), optional
        Weights of the columns (default: task − off).

    Notes
    -----
    nilearn's `run_glm` and `compute_contrast`. AR(1): autocorrelation of the residuals, truncated
    to hundredths, by which observations and design are whitened; the first is left unscaled.
    """
    kept = usable(signals)
    weights = design.contrast if contrast is None else contrast
    rho = np.full(len(kept), np.nan) if design.model == "tokens_ar1" else None
    if not kept.any():
        return statistics(np.empty(0), np.empty(0), design.dof, kept, rho)
    glm = nilearn_glm()
    labels, results = glm.first_level.run_glm(
        signals[:, kept], design.matrix.to_numpy(np.float64),
        noise_model="ols" if rho is None else "ar1",
    )  # fmt: skip
    found = glm.compute_contrast(labels, results, weights, stat_type="t")
    if rho is not None:
        rho[kept] = labels.astype(np.float64)
    return statistics(found.effect_size(), found.effect_variance(), found.dof, kept, rho)


def fixed_effects(fits: Sequence[Fit]) -> Fit:
    """Return the mean effect over scans, its variance that of the scans' own noise.

    Units that a scan leaves out are left out.

    Notes
    -----
    nilearn's `compute_fixed_effect_contrast`: mean of the effects, sum of the variances over n²,
    sum of the degrees of freedom.
    """
    n = len(fits)
    effect: Matrix = np.sum([one.effect for one in fits], axis=0) * (1.0 / n)
    variance: Matrix = np.sum([one.variance for one in fits], axis=0) * (1.0 / n) ** 2
    kept = ~np.isnan(effect)
    return statistics(effect[kept], variance[kept], sum(one.dof for one in fits), kept)


def usable(signals: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which units vary and are finite, shape (n_units,)."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = signals.mean(axis=0, dtype=np.float64)
        return varies(mean, signals.std(axis=0, dtype=np.float64))


def varies(mean: Matrix, deviation: Matrix) -> NDArray[np.bool_]:
    """Return which units vary more than rounding does; those with NaN do not.

    Examples
    --------
    >>> varies(np.array([3.0, 0.0, np.nan]), np.array([1e-7, 1e-3, np.nan]))
    array([False,  True, False])
    """
    with np.errstate(invalid="ignore"):
        return np.isfinite(deviation) & (deviation >= _CONSTANT * (1 + np.abs(mean)))


def statistics(
    effect: Matrix,
    variance: Matrix,
    dof: float,
    kept: NDArray[np.bool_],
    rho: Matrix | None = None,
) -> Fit:
    """Return the statistics of effects and their variances, by nilearn's `Contrast`.

    Parameters
    ----------
    effect, variance : ndarray of float64, shape (n_kept,)
        Of the units that are kept.
    dof : float
        Degrees of freedom.
    kept : ndarray of bool, shape (n_units,)
        Where they belong.
    rho : ndarray of float64, shape (n_units,), optional
        Autocorrelations.
    """

    def placed(values: Matrix) -> Matrix:
        full = np.full(len(kept), np.nan)
        full[kept] = values
        return full

    found = nilearn_glm().Contrast(effect, variance, dof=dof, stat_type="t")
    t, z = placed(found.stat()), placed(found.z_score())
    return Fit(placed(effect), placed(variance), t, z, two_sided_p(t, dof), float(dof), rho)
