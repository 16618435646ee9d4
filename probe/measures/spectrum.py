"""Eigenvalues of the whole correlation matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Up to this many neurons all eigenvalues take seconds; beyond, only the leading ones are computed.
FULL = 4096
LEADING = 100
# 21,504 neurons would take five minutes on one core, and 8 bytes for each of their n² entries.
MOST = 16_384


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues λ of a correlation matrix, whose sum is the number of neurons.

    Attributes
    ----------
    eigenvalues : list of float
        In descending order: all for up to 4,096 neurons, otherwise the 100 leading ones.
    leading_share : float
        `λ₁/Σλ`, dimensionless: the share of the variance along the first principal component.
    effective_rank : float or None
        `exp(-Σ p ln p)` with p the positive eigenvalues over their sum, from 1 to n (Roy &
        Vetterli 2007); None unless all eigenvalues were computed.
    negative_mass : float or None
        `Σ|λ<0| / Σ|λ|`, dimensionless. It is 0 for a correlation matrix, but can be positive for
        Fisher means, and for means whose entries average different examples; None as above.
    """

    eigenvalues: list[float]
    leading_share: float
    effective_rank: float | None
    negative_mass: float | None

    @classmethod
    def of(cls, matrix: NDArray[np.float32], full: int = FULL) -> "Spectrum":
        """Compute the spectrum of a symmetric matrix, shape (n, n), of positive trace if n > 0.

        All eigenvalues for up to `full` neurons (LAPACK), otherwise the leading ones (Lanczos).
        """
        if len(matrix) == 0:
            return cls([], 0.0, 0.0, 0.0)
        if len(matrix) > full:
            values = _leading(matrix)
            rank = negative = None
        else:
            from scipy.linalg import eigvalsh

            values = eigvalsh(matrix.astype(np.float64), overwrite_a=True)[::-1]
            rank, negative = effective_rank(values), negative_mass(values)
        share = float(values[0] / np.trace(matrix, dtype=np.float64))
        return cls(values.tolist(), share, rank, negative)


def effective_rank(eigenvalues: NDArray[np.float64]) -> float:
    """Exponential of the entropy of the positive eigenvalues, normalised to sum to 1.

    Examples
    --------
    >>> round(effective_rank(np.array([1.0, 1.0, 1.0, 1.0, 0.0])), 6)
    4.0
    """
    positive = eigenvalues[eigenvalues > 0]
    share = positive / positive.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def negative_mass(eigenvalues: NDArray[np.float64]) -> float:
    """Share of negative eigenvalues in the sum of all magnitudes.

    Examples
    --------
    >>> negative_mass(np.array([3.0, 0.5, -0.5]))
    0.125
    """
    magnitude = np.abs(eigenvalues)
    return float(magnitude[eigenvalues < 0].sum() / magnitude.sum())


def _leading(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.sparse.linalg import eigsh

    n = len(matrix)
    start = np.random.default_rng(0).standard_normal(n)  # SciPy's own start is random
    values = eigsh(
        matrix.astype(np.float64), k=min(LEADING, n - 1), which="LA", v0=start,
        return_eigenvectors=False,
    )  # fmt: skip
    return np.sort(values)[::-1]
