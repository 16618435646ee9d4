"""How far maps agree: shared units beyond chance, correlations, reliability over scans."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from experiments.task_mapping.design import Matrix

Mask = NDArray[np.bool_]


class Overlap(NamedTuple):
    """Units that two networks share.

    Attributes
    ----------
    shared : int
        Their number.
    expected : float
        The number that networks of these sizes share by chance.
    excess : float
        `shared / expected`, dimensionless; NaN if a network is empty.
    p : float
        Probability that as many are shared by chance.
    dice, jaccard : float
        2 |A ∩ B| / (|A| + |B|) and |A ∩ B| / |A ∪ B|; 0 if both are empty.
    """

    shared: int
    expected: float
    excess: float
    p: float
    dice: float
    jaccard: float


def overlap(first: Mask, second: Mask, n_units: int) -> Overlap:
    """Return what two networks share, beside what they would by chance.

    Parameters
    ----------
    first, second : ndarray of bool, shape (n_units_of_the_model,)
        The networks.
    n_units : int
        Units that could have been in them: those left out of the maps are not counted.

    Notes
    -----
    By chance every unit is as likely as another, so that the number shared is hypergeometric.

    Examples
    --------
    >>> first, second = np.arange(10) < 4, np.arange(10) % 2 == 0
    >>> found = overlap(first, second, 10)
    >>> found.shared, found.expected, round(found.dice, 3), round(found.jaccard, 3)
    (2, 2.0, 0.444, 0.286)
    """
    shared, a, b = int((first & second).sum()), int(first.sum()), int(second.sum())
    assert max(a, b) <= n_units, f"{max(a, b)} units are active of {n_units}"
    expected = a * b / n_units if n_units else 0.0
    return Overlap(
        shared,
        expected,
        shared / expected if expected else float("nan"),
        float(stats.hypergeom.sf(shared - 1, max(1, n_units), a, b)),
        2 * shared / max(1, a + b),
        shared / max(1, a + b - shared),
    )


def top_share(z: Matrix, share: float = 0.1) -> Mask:
    """Return the units of largest |z|, as many as a share of those that are not NaN.

    Its size does not depend on how strong a map is, so that maps are compared on equal terms.

    Examples
    --------
    >>> top_share(np.array([0.1, -3.0, np.nan, 2.0, 0.0]), 0.5)
    array([False,  True, False,  True, False])
    """
    mask = np.zeros(len(z), dtype=bool)
    size = np.abs(z)
    n_top = round(share * int(np.isfinite(size).sum()))
    # NaN sorts last; equal values in the order of units.
    mask[np.argsort(-size, kind="stable")[:n_top]] = True
    return mask


def map_correlations(maps: NDArray[np.floating]) -> Matrix:
    """Return Pearson's r over units between all maps, shape (n_maps, n_maps).

    Parameters
    ----------
    maps : ndarray of float, shape (n_maps, n_units)
        Each pair is correlated over the units that neither leaves out; r of constant maps is NaN.
    """
    r: Matrix = pd.DataFrame(maps.T).corr().to_numpy()
    return r


def icc(maps: Matrix) -> float:
    """Return the intraclass correlation ICC(3,1) of the units of a task's scans, dimensionless.

    Parameters
    ----------
    maps : ndarray of float64, shape (n_scans, n_units)
        Maps of one task. Units that a scan leaves out are left out; NaN if fewer than two units or
        scans are left.

    Notes
    -----
    Shrout & Fleiss (1979), doi:10.1037/0033-2909.86.2.420: two-way analysis of variance of units
    and scans, scans fixed; (MS of units − MS of errors) / (MS of units + (k − 1) MS of errors).

    Examples
    --------
    >>> icc(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]))
    1.0
    """
    values = maps[:, np.isfinite(maps).all(axis=0)].astype(np.float64)
    k, n = values.shape
    if n < 2 or k < 2:
        return float("nan")
    of_units = values.mean(axis=0) - values.mean()
    errors = values - values.mean(axis=1, keepdims=True) - of_units
    units = k * np.square(of_units).sum() / (n - 1)
    error = np.square(errors).sum() / ((n - 1) * (k - 1))
    return float((units - error) / (units + (k - 1) * error))
