"""The degree of emergence over training."""

from collections.abc import Sequence

import numpy as np

from experiments.multifractal.network import Matrix, Vector
from probe.api import UserError


def emergence(steps: Sequence[int | None], alpha0: Matrix, width: Matrix) -> Vector:
    """Return E(t) = w(t)/w(0) · ln(α₀(0)/α₀(t)), dimensionless, shape (n_steps,).

    Means over samples are taken first (Xiao et al. 2025, as its code does): a ratio of means.

    Parameters
    ----------
    steps : sequence of int or None
        Training steps, 0 among them; None is one that is not known.
    alpha0, width : ndarray of float64, shape (n_steps, n_samples)
        Regularity and heterogeneity of every sampled network.

    Raises
    ------
    UserError
        If step 0 is missing, or a mean is not positive, so that E is undefined.

    Examples
    --------
    >>> emergence([0, 8], np.array([[2.0], [1.0]]), np.array([[0.5], [1.0]])).round(3)
    array([0.   , 1.386])
    """
    if 0 not in steps:
        raise UserError(
            f"emergence is measured from step 0, and steps {', '.join(map(str, steps))} are given; "
            "add the checkpoint of step 0"
        )
    first = list(steps).index(0)
    regularity, heterogeneity = alpha0.mean(axis=1), width.mean(axis=1)
    if heterogeneity[first] <= 0:
        raise UserError("all α are equal at step 0, so that emergence is undefined")
    for step, value in zip(steps, regularity, strict=True):
        if value <= 0:
            raise UserError(f"α₀ is {value:.3g} at step {step}, and its logarithm is undefined")
    ratio = heterogeneity / heterogeneity[first]
    return np.asarray(ratio * np.log(regularity[first] / regularity))
