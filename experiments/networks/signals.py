"""Signals, tokens × units: standardised as they are read, in blocks of units, never as a copy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from probe.api import UserError

Matrix = NDArray[np.float64]
Rule = Literal["zscore", "centre", "none"]
# Bytes of a block of signals in float64.
BLOCK = 1 << 25
# A unit whose deviation is below this share of its mean is constant up to rounding in float32.
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals of units over tokens, and how they are standardised.

    Attributes
    ----------
    values : ndarray of float32, shape (n_tokens, n_units)
        As recorded; may be mapped from a file, and is not changed.
    mean, deviation : ndarray of float64, shape (n_units,)
        Of every unit over the tokens (ddof 0).
    varying : ndarray of bool, shape (n_units,)
        False where a unit is constant.
    rule : {"zscore", "centre", "none"}
        Mean 0 and deviation 1 over the tokens, mean 0, or as recorded.
    lengths : tuple of int
        Tokens of every sample (text), in order.
    """

    values: NDArray[np.float32]
    mean: Matrix = field(repr=False)
    deviation: Matrix = field(repr=False)
    varying: NDArray[np.bool_] = field(repr=False)
    rule: Rule
    lengths: tuple[int, ...]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        rule: Rule = "zscore",
        lengths: Iterable[int] | None = None,
    ) -> "Signals":
        """Measure mean and deviation of every unit; by default all tokens are one sample.

        Raises
        ------
        UserError
            If a value is not finite, or no unit varies.

        Examples
        --------
        >>> signals = Signals.of(np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32))
        >>> [block.tolist() for _, block in signals.blocks()], signals.varying.tolist()
        ([[[-1.0, 0.0], [1.0, 0.0]]], [True, False])
        """
        n_tokens, n_units = values.shape
        lengths = (n_tokens,) if lengths is None else tuple(lengths)
        assert sum(lengths) == n_tokens, "the samples' lengths are those of all tokens"
        mean, deviation = _moments(values)
        varying = deviation > _CONSTANT * np.abs(mean) + np.finfo(np.float32).tiny
        if not varying.any():
            raise UserError(
                f"no unit varies: all {n_units} signals are constant over {n_tokens} tokens; "
                "read other texts or layers"
            )
        return cls(values, mean, deviation, varying, rule, lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tokens and of units."""
        n_tokens, n_units = self.values.shape
        return n_tokens, n_units

    def centred(self) -> "Signals":
        """Return the signals with mean 0 over the tokens, otherwise as they are."""
        return replace(self, rule="centre") if self.rule == "none" else self

    def blocks(
        self, tokens: slice | None = None, dtype: type[np.floating] = np.float64
    ) -> Iterator[tuple[slice, Matrix]]:
        """Yield the units in blocks: which they are, and their signals (n_tokens, n_block).

        Constant units are 0 under every rule.

        Parameters
        ----------
        tokens : slice, optional
            Tokens that are read (default: all).
        dtype : type
            float64, or float32 where a rough result will do.
        """
        values = self.values if tokens is None else self.values[tokens]
        n_tokens, n_units = values.shape
        scale = np.where(self.varying, self.deviation, np.inf)
        factor = 1 / scale if self.rule == "zscore" else self.varying.astype(np.float64)
        width = max(16, BLOCK // (8 * n_tokens))
        for start in range(0, n_units, width):
            units = slice(start, min(start + width, n_units))
            block = values[:, units].astype(dtype)
            if self.rule != "none":
                block -= self.mean[units].astype(dtype)
            if self.rule == "zscore" or not self.varying[units].all():
                block *= factor[units].astype(dtype)
            yield units, block


def gather(blocks: Iterable[NDArray[np.float32]], into: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy blocks of tokens (n_tokens, n_units), read one after the other, into one array.

    Parameters
    ----------
    blocks : iterable of ndarray
        For example those of `SeriesStore.blocks`.
    into : ndarray of float32, shape (n_tokens, n_units)
        Best mapped from a file.

    Returns
    -------
    ndarray
        `into`.
    """
    start = 0
    for block in blocks:
        into[start : start + len(block)] = block
        start += len(block)
    assert start == len(into), f"{start} tokens came, {len(into)} were expected"
    return into


def _moments(values: NDArray[np.float32]) -> tuple[Matrix, Matrix]:
    """Return mean and deviation of every unit, merged over blocks of tokens.

    Chan, Golub & LeVeque (1983), doi:10.1080/00031305.1983.10483115.
    """
    n_tokens, n_units = values.shape
    mean, squares = np.zeros(n_units), np.zeros(n_units)
    height = max(1, BLOCK // (8 * n_units))
    for start in range(0, n_tokens, height):
        rows = values[start : start + height].astype(np.float64)
        own = rows.mean(axis=0)
        if not np.isfinite(own).all():
            _refuse(rows, start)
        rows -= own
        total, gap = start + len(rows), own - mean
        squares += np.einsum("tu,tu->u", rows, rows) + gap**2 * (start * len(rows) / total)
        mean += gap * (len(rows) / total)
    return mean, np.sqrt(squares / n_tokens)


def _refuse(rows: Matrix, start: int) -> None:
    """Say which value is not finite."""
    token, unit = np.argwhere(~np.isfinite(rows))[0]
    raise UserError(
        f"the signal of unit {unit} at token {start + token} is {rows[token, unit]}; "
        "read the model in float32, or leave that layer out"
    )
