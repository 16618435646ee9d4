"""Sums between two layers, of which `layers=cross` and `layers=full` are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from probe.cell_sums import KeyedSums
from probe.cells import Wanted
from probe.correlation import Between, BetweenSums, Held, Matmul, finish, hold


class _Key(NamedTuple):
    layers: tuple[int, int]
    cell: int

    def __str__(self) -> str:
        return f"{self.layers[0]}-{self.layers[1]}/{self.cell}"


class PairSums(KeyedSums[_Key, BetweenSums]):
    """One `BetweenSums` for each pair of layers and cell that some wanted matrix needs.

    Memory is that of the sums, 8 bytes for each of a pair's n² entries (twice that for a pair of
    whose neurons any is constant in some example), and of one batch's series of all layers.

    Parameters
    ----------
    wanted : iterable of Wanted
        Matrices to make, all by one scheme; those that join no layers are passed over.
    n_neurons : int
        Neurons of a layer.
    place : callable
        Says where a pair's sums live, given its layers; the device must have float64.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products.
    """

    def __init__(
        self,
        wanted: Iterable[Wanted],
        n_neurons: int,
        place: Callable[[tuple[int, int]], torch.device],
        matmul: Matmul = "fp32",
    ) -> None:
        joined = [matrix for matrix in wanted if matrix.pairs]
        schemes = {matrix.scheme for matrix in joined}
        assert len(schemes) <= 1, schemes
        self.fisher = "fisher" in schemes
        keys = dict.fromkeys(
            _Key(pair, cell) for matrix in joined for pair in matrix.pairs for cell in matrix.cells
        )
        super().__init__(
            {key: BetweenSums(n_neurons, place(key.layers), self.fisher, matmul) for key in keys}
        )
        self.layers = sorted({layer for key in self.sums for layer in key.layers})
        self._held: dict[int, Held] = {}

    def update(
        self, layer: int, cell: int, activations: Tensor, keep: Tensor, weight: Tensor
    ) -> list[Tensor]:
        """Add one layer's activations of a batch, whose layers come in order.

        Sums that have them already are left alone, see `halve`. Returns which examples are finite;
        nothing where no matrix needs the layer.
        """
        if layer not in self.layers:
            return []
        held = self._held[layer] = hold(activations, keep, weight, self.fisher)
        for key, sums in self.sums.items():
            wants = key.cell == cell and key.layers[1] == layer
            if wants and self.journal.todo(key):
                sums.update(self._held[key.layers[0]], held, weight)
                self.journal.note(key)
        if layer == self.layers[-1]:
            self._held.clear()
        return [held.finite]

    def halve(self, cell: int, rows: int) -> None:
        """Hear that a batch ran out of memory: its first `rows` come again, then the others."""
        super().halve(cell, rows)
        # All layers come again, and the series may be what was too much.
        self._held.clear()

    def take(self, matrix: Wanted, pair: tuple[int, int]) -> list[Between]:
        """Return the average over a matrix's cells, then each half's if it has such.

        The sums are given up, so that sums and averages are not in memory together.
        """
        cells = [self.sums.pop(_Key(pair, cell)) for cell in matrix.cells]
        halves = [sums.finish() for sums in cells] if matrix.halves else []
        union, *others = cells
        for sums in others:
            union.merge(sums.state())
        found = [union.finish(), *halves]
        return [_with_itself(one) for one in found] if pair[0] == pair[1] else found


def _with_itself(found: Between) -> Between:
    """Make the average of one layer with itself exactly what a correlation matrix is."""
    undefined = found.undefined[: len(found.matrix)]
    return Between(finish(found.matrix, undefined).matrix, found.undefined)
