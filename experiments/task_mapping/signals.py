"""Signals of units over prompts: one row a prompt, or one a token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.prompts import Numbers

Rows = NDArray[np.float32]
# Prompts whose rows are copied at a time where all do not fit.
_PROMPTS = 16


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals of units.

    Attributes
    ----------
    values : ndarray of float32, shape (n_rows, n_units)
        Prompt by prompt; may be mapped from a file.
    lengths : ndarray of int64, shape (n_prompts,)
        Rows of every prompt: tokens, or 1.
    """

    values: Rows
    lengths: Numbers

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.values.shape[1])

    @cached_property
    def _starts(self) -> Numbers:
        return np.cumsum(self.lengths) - self.lengths

    def rows(self, prompts: Sequence[int] | Numbers) -> Rows:
        """Return the rows of some prompts, in this order, shape (n_rows_of_them, n_units)."""
        places = [np.arange(self.lengths[one]) + self._starts[one] for one in prompts]
        return np.asarray(self.values[np.concatenate(places)])

    def chunks(self, prompts: Sequence[int] | Numbers) -> Iterator[Rows]:
        """Yield the same rows, a few prompts at a time."""
        for start in range(0, len(prompts), _PROMPTS):
            yield self.rows(prompts[start : start + _PROMPTS])

    def means(self) -> "Signals":
        """Return the mean of every prompt's rows.

        Examples
        --------
        >>> Signals(np.float32([[1.0], [3.0], [7.0]]), np.array([2, 1])).means().values.tolist()
        [[2.0], [7.0]]
        """
        if (self.lengths == 1).all():
            return self
        each = (self.rows([one]) for one in range(len(self.lengths)))
        return stacked([rows.mean(axis=0, keepdims=True, dtype=np.float64) for rows in each])


def stacked(arrays: Sequence[NDArray[np.floating]]) -> Signals:
    """Return signals that are given prompt by prompt, each (n_rows, n_units)."""
    values = np.concatenate(arrays).astype(np.float32, copy=False)
    return Signals(values, np.array([len(array) for array in arrays]))
