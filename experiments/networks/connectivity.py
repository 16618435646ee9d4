"""Between networks: their time series, the correlations among them, and a null model."""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.networks.masks import Masks
from experiments.networks.signals import Matrix, Signals


class ShiftNull(NamedTuple):
    """Correlations among series that are shifted against each other.

    Attributes
    ----------
    mean, low, high : ndarray of float64, shape (k, k)
        Mean and central 95 % range over the draws, dimensionless.
    """

    mean: Matrix
    low: Matrix
    high: Matrix


def network_series(signals: Signals, masks: Masks, weights: Matrix | None = None) -> Matrix:
    """Return the mean signal of each network's units, shape (n_tokens, k).

    Parameters
    ----------
    signals : Signals
        As they are standardised.
    masks : ndarray of bool, shape (k, n_units)
        Networks.
    weights : ndarray of float64, shape (k, n_units), optional
        A unit counts with the sign of its weight, as in z maps: otherwise units of opposite sign
        cancel in a two-sided network.

    Returns
    -------
    ndarray of float64, shape (n_tokens, k)
        In the unit of the signals; NaN for an empty network.
    """
    signs = masks.astype(np.float64) if weights is None else masks * np.sign(weights)
    total = np.zeros((signals.shape[0], len(masks)))
    for units, block in signals.blocks():
        total += block @ signs[:, units].T
    size = masks.sum(axis=1)
    return total / np.where(size > 0, size, np.nan)


def connectivity(series: Matrix) -> Matrix:
    """Return Pearson's r among networks, shape (k, k); NaN for empty and constant ones.

    Parameters
    ----------
    series : ndarray of float64, shape (n_tokens, k)
        Of `network_series`.
    """
    standardised = _standardised(series)
    r = np.clip(standardised.T @ standardised, -1, 1)
    np.fill_diagonal(r, np.where(np.isnan(r.diagonal()), np.nan, 1))
    return r


def shift_null(series: Matrix, draws: int = 200, seed: int = 0) -> ShiftNull:
    """Correlate networks whose series are shifted circularly, each by a random distance.

    A shift keeps the autocorrelation of a series, which widens the range of r between independent
    ones.

    Parameters
    ----------
    series : ndarray of float64, shape (n_tokens, k)
        Of `network_series`.
    draws : int
        Number of draws.
    seed : int
        Of the distances, 1 to n_tokens − 1.
    """
    rng = np.random.default_rng(seed)
    standardised = _standardised(series)
    n_tokens, k = series.shape
    found = np.empty((draws, k, k))
    for draw in tqdm(range(draws), "shifts", disable=None, leave=False, delay=2):
        by = rng.integers(1, n_tokens, k)
        place = (np.arange(n_tokens)[:, None] - by) % n_tokens
        shifted = np.take_along_axis(standardised, place, axis=0)
        found[draw] = np.clip(shifted.T @ shifted, -1, 1)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return ShiftNull(found.mean(axis=0), low, high)


def _standardised(series: Matrix) -> Matrix:
    """Return columns of mean 0 and length 1; NaN where they are constant or NaN."""
    centred = series - series.mean(axis=0)
    length = np.sqrt(np.square(centred).sum(axis=0))
    constant = ~(length > 1e-12 * np.abs(series).max(axis=0))
    return np.asarray(centred / np.where(constant, np.nan, length))
