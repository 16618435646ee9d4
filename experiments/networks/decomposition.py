"""From signals to maps: group, spatial and temporal independent component analysis."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.networks.rotation import Contrast, Rotation, Solver, rotate
from experiments.networks.signals import Matrix, Signals
from experiments.networks.subspace import Directions, reduce_samples, strongest
from experiments.networks.whitening import whiten
from probe.api import UserError

logger = logging.getLogger(__name__)
Method = Literal["canica", "spatial", "temporal"]


@dataclass(frozen=True, eq=False)
class Whitened:
    """Signals reduced to k whitened rows, and what makes maps of a rotation of them.

    Attributes
    ----------
    rows : ndarray of float64, shape (k, n_observations)
        `Z`: of mean 0 and covariance I over units (spatial) or tokens (temporal).
    loadings : ndarray of float64, shape (k, n_varying)
        Maps of the varying units are `W` times these; `Z` itself if it is spatial.
    varying : ndarray of bool, shape (n_units,)
        False where a unit is constant: its map is 0.
    """

    rows: Matrix
    loadings: Matrix
    varying: NDArray[np.bool_]

    def maps(self, rotation: Rotation) -> Matrix:
        """Return a rotation's maps (k, n_units), in arbitrary order and with arbitrary signs."""
        maps = np.zeros((len(self.rows), len(self.varying)))
        if self.varying.all():
            return np.matmul(rotation.unmixing, self.loadings, out=maps)
        maps[:, self.varying] = rotation.unmixing @ self.loadings
        return maps

    def sources(self, rotation: Rotation) -> Matrix:
        """Return the independent rows (k, n_observations), each of variance 1."""
        return np.asarray(rotation.unmixing @ self.rows)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Networks as maps over units.

    Attributes
    ----------
    maps : ndarray of float64, shape (k, n_units)
        Of the chosen run, in arbitrary order and with arbitrary signs.
    chosen : int
        The run whose sources are sparsest.
    runs : tuple of Rotation
        One for each seed.
    sparsity : tuple of float
        Of each run: the largest Σ|S| of a source, in observations; smaller is sparser.
    """

    maps: Matrix
    chosen: int
    runs: tuple[Rotation, ...]
    sparsity: tuple[float, ...]


def canica(
    signals: Signals, k: int, cca: bool = True, seed: int = 0, device: str | None = None
) -> Whitened:
    """Reduce every sample, then all of them together, and whiten over units.

    Parameters
    ----------
    signals : Signals
        Of the samples `signals.lengths`.
    k : int
        Number of components, of every sample and of all.
    cca : bool
        Whether the rows of the samples are divided by their L2 norm.
    seed : int
        Of the reduction where it is randomised.
    device : str, optional
        Torch device of the products (default: NumPy).

    Raises
    ------
    UserError
        If k is below 1 or above the number of tokens, of varying units, or the rank.

    Notes
    -----
    Varoquaux et al. (2010), doi:10.1016/j.neuroimage.2010.02.010; the reduction of nilearn's
    CanICA, with a whitening that loses no component.
    """
    check_number(k, signals)
    reduced = reduce_samples(signals, k, cca, device)
    return _spatial(strongest(reduced, k, seed, device), signals.varying, device)


def spatial(signals: Signals, k: int, seed: int = 0, device: str | None = None) -> Whitened:
    """Reduce all tokens together and whiten over units: maps are independent.

    The parameters and errors are those of `canica`.
    """
    check_number(k, signals)
    return _spatial(strongest(signals, k, seed, device), signals.varying, device)


def temporal(signals: Signals, k: int, seed: int = 0, device: str | None = None) -> Whitened:
    """Whiten over tokens: time courses are independent, and maps are their regressions.

    The parameters and errors are those of `canica`. Few tokens are warned of: the k² numbers of
    the rotation are estimated from them.
    """
    check_number(k, signals)
    n_tokens = signals.shape[0]
    if n_tokens < 10 * k**2:
        logger.warning(
            "temporal ICA of %d components wants %d tokens (10 k²), and has %d: "
            "use study.method=canica, fewer components or more texts",
            k, 10 * k**2, n_tokens,
        )  # fmt: skip
    found = strongest(signals.centred(), k, seed, device)
    rows = whiten(np.ascontiguousarray(found.vectors.T), device)
    # Of whitened rows Z, signals are regressed on as Z X / n; Z is a rotation of √n Uᵀ.
    turn = rows @ found.vectors / n_tokens
    return Whitened(rows, _kept(turn @ found.projections, signals.varying), signals.varying)


def decompose(
    whitened: Whitened,
    seeds: Sequence[int] = range(10),
    contrast: Contrast = "cube",
    solver: Solver = "fastica",
    max_iterations: int = 300,
    device: str | None = None,
) -> Decomposition:
    """Rotate from several starts and choose the run whose least sparse source is sparsest.

    All sources have variance 1, so the smaller their sum of absolute values, the sparser they
    are; the rule is nilearn's. Components of the chosen run that have not converged are warned of.

    Parameters
    ----------
    whitened : Whitened
        Of `canica`, `spatial` or `temporal`.
    seeds : sequence of int
        One run each. The published temporal and spatial analyses take a single one.
    contrast, solver, max_iterations, device
        See `rotate`. Temporal analysis is published with `contrast="logcosh"`.

    Raises
    ------
    UserError
        If the solver is not installed.
    """
    runs, sparsity = [], []
    for seed in tqdm(seeds, "seeds", disable=None, leave=False, delay=2):
        run = rotate(whitened.rows, seed, contrast, solver, max_iterations, device)
        runs.append(run)
        sparsity.append(float(np.abs(whitened.sources(run)).sum(axis=1).max()))
    chosen = int(np.argmin(sparsity))
    if complaint := runs[chosen].complaint():
        logger.warning("%s", complaint)
    return Decomposition(whitened.maps(runs[chosen]), chosen, tuple(runs), tuple(sparsity))


def reduce(
    signals: Signals, k: int, method: Method, seed: int = 0, device: str | None = None
) -> Whitened:
    """Reduce and whiten signals by a method, see the functions of these names."""
    if method == "canica":
        return canica(signals, k, seed=seed, device=device)
    return (spatial if method == "spatial" else temporal)(signals, k, seed, device)


def check_number(k: int, signals: Signals) -> None:
    """Check that there can be k components.

    Raises
    ------
    UserError
        If k is below 1, or above the number of tokens or of varying units.
    """
    if k < 1:
        raise UserError(f"{k} components; ask for 1 or more")
    counts = {"tokens": signals.shape[0], "units that vary": int(signals.varying.sum())}
    what, most = min(counts.items(), key=lambda item: item[1])
    if k > most:
        raise UserError(f"{k} components of {most} {what}; ask for at most {most}")


def _spatial(found: Directions, varying: NDArray[np.bool_], device: str | None) -> Whitened:
    rows = whiten(_kept(found.projections, varying), device)
    return Whitened(rows, rows, varying)


def _kept(columns: Matrix, varying: NDArray[np.bool_]) -> Matrix:
    """Return the columns of the varying units, without a copy if all vary."""
    return columns if varying.all() else columns[:, varying]
