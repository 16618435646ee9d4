"""From maps to networks: signs by a rule, z values, and the units beyond a threshold."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.networks.signals import Matrix
from probe.api import UserError

Masks = NDArray[np.bool_]
Threshold = Literal["two-sided", "one-sided", "percentile"]


def fix_signs(maps: Matrix) -> Matrix:
    """Return maps whose skewness over units is positive: the sign of a component is arbitrary.

    Parameters
    ----------
    maps : ndarray of float64, shape (k, n_units)

    Returns
    -------
    ndarray of float64, shape (k, n_units)
        Maps with skewness 0, such as empty ones, are left as they are.

    Examples
    --------
    >>> fix_signs(np.array([[1.0, 1.0, -5.0], [0.0, 0.0, 2.0]]))
    array([[-1., -1.,  5.],
           [ 0.,  0.,  2.]])
    """
    centred = maps - maps.mean(axis=1, keepdims=True)
    third = np.einsum("ku,ku,ku->k", centred, centred, centred)
    return np.asarray(np.where(third < 0, -1.0, 1.0)[:, None] * maps)


def z_maps(maps: Matrix) -> Matrix:
    """Return (map − mean) / standard deviation over all units (ddof 0); a constant map is 0.

    Parameters
    ----------
    maps : ndarray of float64, shape (k, n_units)
    """
    z: Matrix = maps - maps.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(z).mean(axis=1, keepdims=True))
    z /= np.where(deviation > 0, deviation, 1)
    return z


def threshold_maps(
    z: Matrix, varying: Masks, rule: Threshold = "two-sided", threshold: float = 1.96
) -> Masks:
    """Return which units belong to each network, shape (k, n_units).

    Parameters
    ----------
    z : ndarray of float64, shape (k, n_units)
        Of `z_maps`.
    varying : ndarray of bool, shape (n_units,)
        A constant unit is in no network.
    rule : {"two-sided", "one-sided", "percentile"}
        |z| above the threshold; z above it; or the largest |z| of all maps together, as many as
        `threshold` times the number of units (the rule of nilearn's CanICA).
    threshold : float
        In standard deviations, or for percentile the ratio, at most k.

    Raises
    ------
    UserError
        If a ratio is not between 0 and k.
    """
    size = z if rule == "one-sided" else np.abs(z)
    if rule != "percentile":
        return np.asarray((size > threshold) & varying)
    if not 0 < threshold < len(z):
        raise UserError(
            f"a percentile rule with ratio {threshold:g} of {len(z)} maps; "
            f"choose a ratio above 0 and below {len(z)}"
        )
    least = np.percentile(size, 100 - 100 / len(z) * threshold)
    return np.asarray((size >= least) & varying)


def sizes(masks: Masks, layers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of units of each network in each layer, shape (k, n_layers).

    Parameters
    ----------
    masks : ndarray of bool, shape (k, n_units)
        Networks.
    layers : ndarray of int, shape (n_units,)
        The layer of every unit; columns are the layers in ascending order.

    Examples
    --------
    >>> sizes(np.array([[True, True, False], [False, False, False]]), np.array([0, 0, 3]))
    array([[2, 0],
           [0, 0]])
    """
    of_layer = layers[:, None] == np.unique(layers)
    return np.asarray(masks.astype(np.int64) @ of_layer)


def empty(masks: Masks) -> NDArray[np.int64]:
    """Return the networks without a unit, by number."""
    return np.flatnonzero(~masks.any(axis=1))
