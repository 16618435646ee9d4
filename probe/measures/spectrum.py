"""Eigenvalues of the whole correlation matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# All eigenvalues take seconds up to so many neurons; beyond, only the leading ones are computed.
FULL = 4096
LEADING = 100
# Five minutes on one core for 21,504 neurons, and 8 bytes for each of their n² entries.
MOST = 16_384


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues λ of a correlation matrix, whose sum is the number of neurons.

    Attributes
    ----------
    eigenvalues : list of float
        In descending order: all of up to 4,096 neurons, else the 100 leading ones.
    leading_share : float
        `λ₁/Σλ`, dimensionless: the share of the variance along the first principal component.
    effective_rank : float or None
        `exp(-Σ p ln p)` with p the positive eigenvalues over their sum, from 1 to n (Roy &
        Vetterli 2007); None where not all eigenvalues are there.
    negative_mass : float or None
        `Σ|λ<0| / Σ|λ|`, dimensionless. A correlation matrix has none, but Fisher means and means
        over different examples for different entries can; None as above.
    """

    eigenvalues: list[float]
    leading_share: float
    effective_rank: float | None
    negative_mass: float | None

    @classmethod
    def of(cls, matrix: NDArray[np.float32], full: int = FULL) -> Spectrum:
        """Compute the spectrum of a symmetric matrix, shape (n, n), its trace above 0 unless n = 0.

        Up to `full` neurons all eigenvalues are found (LAPACK), else the leading ones (Lanczos).
        """
        if len(matrix) == 0:
            return cls([], 0.0, 0.0, 0.0)
        if len(matrix) > full:
            values = _leading(matrix)
            rank = negative = None
        else:
            values = _all(matrix)
            rank, negative = effective_rank(values), negative_mass(values)
        share = float(values[0] / np.trace(matrix, dtype=np.float64))
        return cls(values.tolist(), share, rank, negative)


def effective_rank(eigenvalues: NDArray[np.float64]) -> float:
    """Exponential of the entropy of the positive eigenvalues over their sum.

    Examples
    --------
    >>> round(effective_rank(np.array([1.0, 1.0, 1.0, 1.0, 0.0])), 6)
    4.0
    """
    positive = eigenvalues[eigenvalues > 0]
    share = positive / positive.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def negative_mass(eigenvalues: NDArray[np.float64]) -> float:
    """Sum of the negative eigenvalues' magnitudes over the sum of all magnitudes.

    Examples
    --------
    >>> negative_mass(np.array([3.0, 0.5, -0.5]))
    0.125
    """
    magnitude = np.abs(eigenvalues)
    return float(magnitude[eigenvalues < 0].sum() / magnitude.sum())


def _all(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.linalg import eigvalsh

    values: NDArray[np.float64] = eigvalsh(matrix.astype(np.float64), overwrite_a=True)
    return values[::-1]


def _leading(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.sparse.linalg import eigsh

    n = len(matrix)
    start = np.random.default_rng(0).standard_normal(n)  # or SciPy takes another one every time
    found = eigsh(
        matrix.astype(np.float64), k=min(LEADING, n - 1), which="LA", v0=start,
        return_eigenvectors=False,
    )  # fmt: skip
    return np.sort(found)[::-1]
