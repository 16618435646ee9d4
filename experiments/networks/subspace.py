"""The strongest directions among the rows of signals: singular vectors, read block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import eigh
from tqdm import tqdm

from experiments.networks.placement import fetch, place
from experiments.networks.signals import Matrix, Signals
from probe.api import UserError

# Directions weaker than this share of the strongest are rounding of float32.
RANK_TOLERANCE = 1e-6
# Most blocks of the Krylov space, and vectors of a block beyond those asked for.
PASSES, OVERSAMPLING = 4, 10
# Largest ‖R Rᵀ u − λ u‖ of a direction that is good enough, as a share of the smallest λ.
_RESIDUAL = 1e-2
# Directions stronger than this share of the strongest are found in products of float32.
_SINGLE = 1e-3


class Rows(Protocol):
    """Rows × units that are read in blocks of units."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of units."""

    def blocks(self, *, dtype: type[np.floating] = ...) -> Iterator[tuple[slice, Matrix]]:
        """Yield units and their values (n_rows, n_block)."""


class Directions(NamedTuple):
    """Singular vectors of rows × units, the strongest first.

    Attributes
    ----------
    vectors : ndarray of float64, shape (n_rows, k)
        Left singular vectors `U`.
    squares : ndarray of float64, shape (k,)
        Squared singular values.
    projections : ndarray of float64, shape (k, n_units)
        `Uᵀ R`: right singular vectors times singular values.
    """

    vectors: Matrix
    squares: Matrix
    projections: Matrix


@dataclass(frozen=True, eq=False)
class Sample:
    """The tokens of one sample."""

    signals: Signals
    tokens: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tokens and of units."""
        return self.tokens.stop - self.tokens.start, self.signals.shape[1]

    def blocks(self, *, dtype: type[np.floating] = np.float64) -> Iterator[tuple[slice, Matrix]]:
        """Yield units and their signals (n_tokens of the sample, n_block)."""
        return self.signals.blocks(self.tokens, dtype)


@dataclass(frozen=True, eq=False)
class Reduced:
    """Every sample's tokens reduced to few rows, `R = Aᵀ X` with `A` block-diagonal.

    Attributes
    ----------
    signals : Signals
        `X`, read whenever rows are.
    weights : sequence of ndarray, each of shape (n_tokens of the sample, n_rows of the sample)
        The blocks of `A`.
    """

    signals: Signals
    weights: Sequence[Matrix]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of units."""
        return sum(each.shape[1] for each in self.weights), self.signals.shape[1]

    def blocks(self, *, dtype: type[np.floating] = np.float64) -> Iterator[tuple[slice, Matrix]]:
        """Yield units and their values (n_rows, n_block)."""
        weights = [each.astype(dtype) for each in self.weights]
        cuts = np.cumsum([len(each) for each in weights])[:-1]
        for units, block in self.signals.blocks(dtype=dtype):
            parts = zip(weights, np.split(block, cuts), strict=True)
            yield units, np.concatenate([each.T @ part for each, part in parts])


def reduce_samples(signals: Signals, k: int, scaled: bool, device: str | None = None) -> Reduced:
    """Reduce every sample to its k strongest directions, or as many as its rank allows.

    Parameters
    ----------
    signals : Signals
        Of all samples.
    k : int
        Rows of a sample at most.
    scaled : bool
        Whether every row is divided by its L2 norm over units, so that loud samples do not win:
        the canonical correlation analysis of CanICA.
    device : str, optional
        Torch device of the products.

    Notes
    -----
    Varoquaux et al. (2010), doi:10.1016/j.neuroimage.2010.02.010. A row is a left singular vector
    times the sample's signals, so its norm is the singular value.
    """
    weights = []
    stops = np.cumsum(signals.lengths).tolist()
    for stop, length in tqdm(
        zip(stops, signals.lengths, strict=True), "samples", len(stops),
        disable=None, leave=False, delay=2,
    ):  # fmt: skip
        products = gram(Sample(signals, slice(stop - length, stop)), device)
        vectors, squares = leading(products, min(k, length))
        rank = rank_of(squares)
        scale = np.sqrt(squares[:rank]) if scaled else 1
        weights.append(vectors[:, :rank] / scale)
    return Reduced(signals, weights)


def strongest(rows: Rows, k: int, seed: int = 0, device: str | None = None) -> Directions:
    """Return the k strongest directions among rows.

    Few rows: eigenvectors of their Gram matrix. Many: a randomised block Krylov space (Musco &
    Musco 2015, arXiv:1504.05477) whose span is guessed in float32, and in float64 if a direction
    is weak. Directions within the span are computed in float64. Neither a float64 copy of the
    signals nor a units × units matrix is formed.

    Parameters
    ----------
    rows : Rows
        What is read.
    k : int
        Number of directions.
    seed : int
        Of the Krylov space's first block.
    device : str, optional
        Torch device of the products (default: NumPy).

    Raises
    ------
    UserError
        If the rank is below k.
    """
    wanted = min(k, *rows.shape)
    if is_exact(rows.shape[0], k):
        found = _within(rows, leading(gram(rows, device), wanted)[0], wanted, device)
    else:
        found = _within(rows, _krylov(rows, k, seed, device, np.float32), k, device)
        if found.squares[-1] < _SINGLE**2 * found.squares[0]:
            found = _within(rows, _krylov(rows, k, seed, device, np.float64), k, device)
    check_rank(found.squares, k)
    return found


def is_exact(n_rows: int, k: int) -> bool:
    """Return whether there are so few rows that their Gram matrix is formed."""
    return n_rows <= 4 * PASSES * (k + OVERSAMPLING)


def gram(rows: Rows, device: str | None = None) -> Matrix:
    """Return `R Rᵀ`, shape (n_rows, n_rows), summed over blocks of units."""
    total = place(np.zeros((rows.shape[0],) * 2), device)
    for _, block in _shown(rows, "Gram matrix"):
        placed = place(block, device)
        total += placed @ placed.T
    return fetch(total)


def leading(products: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """Return the k leading eigenvectors (n, k) and eigenvalues (k,) of a symmetric matrix."""
    n = len(products)
    values, vectors = eigh(products, subset_by_index=[n - k, n - 1])
    return np.ascontiguousarray(vectors[:, ::-1]), values[::-1]


def rank_of(squares: Matrix) -> int:
    """Return how many squared singular values, the largest first, are more than rounding.

    Examples
    --------
    >>> rank_of(np.array([4.0, 1.0, 1e-13]))
    2
    """
    return int((squares > RANK_TOLERANCE**2 * squares[0]).sum())


def check_rank(squares: Matrix, k: int) -> None:
    """Check that there are k directions.

    Raises
    ------
    UserError
        If the rank is below k.
    """
    rank = rank_of(squares)
    if rank < k:
        raise UserError(f"{k} components of signals of rank {rank}; ask for at most {rank}")


def _within(rows: Rows, basis: Matrix, k: int, device: str | None) -> Directions:
    """Return the k strongest directions in the span of a basis, and their projections."""
    placed = place(basis, device)
    projections = np.empty((basis.shape[1], rows.shape[1]))
    for units, block in _shown(rows, "projections"):
        projections[:, units] = fetch(placed.T @ place(block, device))
    turn, squares = leading(projections @ projections.T, k)
    return Directions(basis @ turn, squares, turn.T @ projections)


def _krylov(rows: Rows, k: int, seed: int, device: str | None, dtype: type[np.floating]) -> Matrix:
    """Guess the span of the strongest directions from `Q, (R Rᵀ) Q, …`, with `Q` random.

    Blocks are added until the k strongest directions of their span are eigenvectors of `R Rᵀ`.
    """
    (n, n_units), width = rows.shape, k + OVERSAMPLING
    basis, images = np.empty((n, 0)), np.empty((n, 0))
    projections = np.empty((PASSES * width, n_units), dtype)
    new = np.random.default_rng(seed).standard_normal((n, width))
    for number in range(PASSES):
        for _ in range(2):  # the first leaves rounding of the size of what it removes
            new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
        basis = np.concatenate([basis, new], axis=1)
        own = projections[number * width : (number + 1) * width]
        placed, image = place(new.astype(dtype), device), place(np.zeros((n, width)), device)
        for units, block in _shown(rows, f"pass {number + 1}", dtype):
            values = place(block, device)
            products = placed.T @ values
            own[:, units] = fetch(products)
            image += values @ products.T
        new = fetch(image)
        images = np.concatenate([images, new], axis=1)
        inner = projections[: basis.shape[1]]
        turn, squares = leading((inner @ inner.T).astype(np.float64), k)
        guess = basis @ turn
        off = np.linalg.norm(images @ turn - guess * squares, axis=0)
        if off.max() <= _RESIDUAL * squares[k - 1]:
            break
    return guess


def _shown(
    rows: Rows, what: str, dtype: type[np.floating] = np.float64
) -> Iterator[tuple[slice, Matrix]]:
    """Yield the blocks of rows, with a bar if that takes longer than two seconds."""
    with tqdm(
        None, what, rows.shape[1], unit=" units", disable=None, leave=False, delay=2
    ) as progress:
        for units, block in rows.blocks(dtype=dtype):
            yield units, block
            progress.update(units.stop - units.start)
