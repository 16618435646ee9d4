"""The multifractal spectrum f(α) of exponents τ(q), and what sums it up."""

from dataclasses import dataclass

import numpy as np

from experiments.multifractal.network import Vector
from experiments.multifractal.scaling import Scaling

_ROUNDING = 1e-9  # of slopes of τ, far above float64's


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The Legendre transform of τ(q); all dimensionless.

    Attributes
    ----------
    alpha, f : ndarray of float64, shape (n_moments - 1,)
        Slopes of τ from each moment to the next, and q α - τ.
    alpha0 : float
        Regularity, lower is more regular: the slope of τ at q = 0, from both sides.
    alpha0_public : float
        α where f is largest. f is 0 on both sides of q = 0, and rounding chooses one.
    width : float
        Heterogeneity: the range of α.
    concave : bool
        Whether α never grows with q; the width of another τ is none of a spectrum.
    """

    alpha: Vector
    f: Vector
    alpha0: float
    alpha0_public: float
    width: float
    concave: bool


def spectrum(scaling: Scaling) -> Spectrum:
    """Return the spectrum of exponents (Xiao et al. 2025, Algorithm 4 and Eq. 9).

    Examples
    --------
    >>> from experiments.multifractal.scaling import MOMENTS
    >>> square = -(MOMENTS**2) / 10 + MOMENTS
    >>> found = spectrum(Scaling(MOMENTS, MOMENTS, MOMENTS, square, MOMENTS))
    >>> round(found.alpha0, 9), round(found.width, 9), found.concave
    (1.0, 1.18, True)
    """
    q, tau = scaling.q, scaling.tau
    alpha = np.diff(tau) / np.diff(q)
    f = q[:-1] * alpha - tau[:-1]
    zero = int(np.flatnonzero(q == 0)[0])
    return Spectrum(
        alpha=alpha,
        f=f,
        alpha0=float((tau[zero + 1] - tau[zero - 1]) / (q[zero + 1] - q[zero - 1])),
        alpha0_public=float(alpha[np.argmax(f)]),
        width=float(np.ptp(alpha)),
        concave=bool((np.diff(alpha) <= _ROUNDING).all()),
    )
