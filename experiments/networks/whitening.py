"""Whitening, and the check that it is one.

Whitening as in scikit-learn multiplies each row by the sign of its first entry. Of rows that are
orthonormal already that entry can be exactly 0: the row becomes 0, and a network is lost. Here no
sign is fixed, and the result is checked.
"""

import numpy as np
from scipy.linalg import eigh

from experiments.networks.placement import fetch, place
from experiments.networks.signals import Matrix
from experiments.networks.subspace import check_rank
from probe.api import UserError

TOLERANCE = 1e-8


def whiten(features: Matrix, device: str | None = None) -> Matrix:
    """Return uncorrelated combinations of features, of mean 0 and variance 1 over observations.

    Parameters
    ----------
    features : ndarray of float64, shape (k, n_observations)
        Rows of any length; changed in place.
    device : str, optional
        Torch device of the products (default: NumPy).

    Returns
    -------
    ndarray of float64, shape (k, n_observations)

    Raises
    ------
    UserError
        If the centred features are linearly dependent.

    Examples
    --------
    >>> z = whiten(np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 0.0]]))
    >>> bool(np.allclose(z @ z.T / 4, np.eye(2)))
    True
    """
    k, n = features.shape
    features -= features.mean(axis=1, keepdims=True)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    features /= np.where(length > 0, length, 1)
    whitened = place(features, device)
    for _ in range(2):  # the second removes the rounding of the first
        squares, vectors = eigh(fetch(whitened @ whitened.T) / n)
        check_rank(squares[::-1], k)
        whitened = place(vectors.T / np.sqrt(squares)[:, None], device) @ whitened
    result = fetch(whitened)
    check_white(result)
    return result


def check_white(whitened: Matrix) -> None:
    """Check that `Z Zᵀ / n` is the identity.

    Parameters
    ----------
    whitened : ndarray of float64, shape (k, n_observations)
        What is given to ICA.

    Raises
    ------
    UserError
        If an entry is off by more than 1e-8.
    """
    k, n = whitened.shape
    error = np.abs(whitened @ whitened.T / n - np.eye(k)).max(axis=1)
    worst = int(error.argmax())
    if not error[worst] <= TOLERANCE:
        raise UserError(
            f"whitening failed: component {worst} has covariances off by {error[worst]:.1e}, where "
            f"{TOLERANCE:.0e} is allowed; ask for fewer components, or standardise the signals"
        )
