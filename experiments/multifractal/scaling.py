"""How masses of boxes scale with the radius: the partition function and its exponents τ(q)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.network import Matrix, Vector
from probe.api import UserError

# Of Xiao et al. (2025): -3.0, -2.9 to 3.0.
MOMENTS: Vector = np.arange(-30, 31) / 10
# Nodes × radii that are raised to a power at a time: as many as stay in a core's cache.
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class Scaling:
    """The partition function, and lines through it.

    Attributes
    ----------
    q : ndarray of float64, shape (n_moments,)
        Moments.
    log_radius : ndarray of float64, shape (n_radii,)
        ln(r / r_max).
    log_partition : ndarray of float64, shape (n_moments, n_radii)
        ln Z_q(r).
    tau : ndarray of float64, shape (n_moments,)
        Slopes of lines with free intercepts, by least squares over all radii.
    r2 : ndarray of float64, shape (n_moments,)
        Share of the variance that the lines explain; 1 where there is none.
    """

    q: Vector
    log_radius: Vector
    log_partition: Matrix
    tau: Vector
    r2: Vector


def scaling(counts: NDArray[Any], radii: Vector, q: Vector = MOMENTS) -> Scaling:
    """Fit τ(q), the slope of ln Z_q(r) over ln(r / r_max) (Xiao et al. 2025, Algorithm 3).

    Z_q(r) = Σ_i μ_i(r)^q sums over nodes, not over disjoint boxes: τ(0) is 0, and τ(q) is the
    standard mass exponent of q + 1.

    Parameters
    ----------
    counts : ndarray, shape (n_nodes, n_radii)
        Masses N_i(r), positive; μ_i(r) = N_i(r) / N_i(r_max).
    radii : ndarray of float64, shape (n_radii,)
        In ascending order.
    q : ndarray of float64, shape (n_moments,)
        Moments in equal steps, 0 among them.

    Raises
    ------
    UserError
        If there are fewer than two radii.

    Examples
    --------
    Twice the radius, twice the mass, around every node:

    >>> masses, radii = np.array([[1, 2, 4]] * 5), np.array([1.0, 2.0, 4.0])
    >>> scaling(masses, radii, np.arange(-1.0, 2)).tau.round(9)
    array([-1.,  0.,  1.])
    """
    if len(radii) < 2:
        raise UserError("all distances are equal, so that no slope over radii is defined")
    log_radius = np.log(radii / radii[-1])
    log_partition = np.log(_partition(counts / counts[:, -1:], q))
    x = log_radius - log_radius.mean()
    # From ln n on, so that what is constant is exactly 0.
    y = log_partition - log_partition[:, -1:]
    y -= y.mean(axis=1, keepdims=True)
    tau = y @ x / (x @ x)
    total = np.square(y).sum(axis=1)
    residual = np.square(y - tau[:, None] * x).sum(axis=1)
    r2 = 1 - np.divide(residual, total, out=np.zeros_like(total), where=total > 0)
    return Scaling(q, log_radius, log_partition, tau, r2)


def _partition(masses: Matrix, q: Vector) -> Matrix:
    """Return Z_q(r), shape (n_moments, n_radii), by multiplying from q = 0 on in both directions.

    That takes one logarithm and one exponential of every mass, and no powers.
    """
    zero = int(np.flatnonzero(q == 0)[0])
    partition = np.zeros((len(q), masses.shape[1]))
    for block in np.array_split(masses, -(-masses.size // _BLOCK)):
        partition[zero] += len(block)
        for sign, moments in ((1, range(zero + 1, len(q))), (-1, range(zero - 1, -1, -1))):
            factor = np.exp(sign * (q[1] - q[0]) * np.log(block))
            power = np.ones_like(block)
            for moment in moments:
                power *= factor
                partition[moment] += power.sum(axis=0)
    return partition
