"""Sums between two layers, of which `layers=cross` and `layers=full` are put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from probe.cell_sums import within
from probe.cells import Wanted
from probe.correlation import Between, BetweenSums, Held, Matmul, finish, hold


class _Key(NamedTuple):
    layers: tuple[int, int]
    cell: int

    def __str__(self) -> str:
        return f"{self.layers[0]}-{self.layers[1]}/{self.cell}"


class PairSums:
    """One `BetweenSums` for each pair of layers and cell that some wanted matrix needs.

    Memory is that of the sums, 8 bytes for each of a pair's n² entries (twice that for a pair of
    whose neurons any is constant in some example), and of one batch's series of all layers.

    Parameters
    ----------
    wanted : iterable of Wanted
        Matrices to make, all by one scheme; those that join no layers are passed over.
    n_neurons : int
        Neurons of a layer.
    device : torch.device
        Where the sums live; it must have float64.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products.
    """

    def __init__(
        self,
        wanted: Iterable[Wanted],
        n_neurons: int,
        device: torch.device,
        matmul: Matmul = "fp32",
    ) -> None:
        joined = [matrix for matrix in wanted if matrix.pairs]
        schemes = {matrix.scheme for matrix in joined}
        assert len(schemes) <= 1, schemes
        self.n_neurons, self.fisher = n_neurons, "fisher" in schemes
        self.sums = {
            key: BetweenSums(n_neurons, device, self.fisher, matmul)
            for key in dict.fromkeys(
                _Key(pair, cell)
                for matrix in joined
                for pair in matrix.pairs
                for cell in matrix.cells
            )
        }
        self.layers = sorted({layer for key in self.sums for layer in key.layers})
        self._held: dict[int, Held] = {}

    def update(
        self, layer: int, cell: int, activations: Tensor, keep: Tensor, weight: Tensor
    ) -> list[Tensor]:
        """Add one layer's activations of a batch, whose layers come in order.

        Returns which examples are finite; nothing where no matrix needs the layer.
        """
        if layer not in self.layers:
            return []
        held = self._held[layer] = hold(activations, keep, weight, self.fisher)
        for key, sums in self.sums.items():
            if key.cell == cell and key.layers[1] == layer:
                sums.update(self._held[key.layers[0]], held, weight)
        if layer == self.layers[-1]:
            self._held.clear()
        return [held.finite]

    def held_bytes(self, token_budget: int, device: torch.device) -> int:
        """Return what the series of a batch of all layers take."""
        few = hold(
            torch.zeros(1, 2, self.n_neurons, device=device),
            torch.ones(1, 2, dtype=torch.bool, device=device),
            torch.ones(1, dtype=torch.float64),
            self.fisher,
        )
        return len(self.layers) * token_budget * self.n_neurons * few.series.element_size()

    def state(self) -> dict[str, Tensor]:
        """Return all sums by name."""
        return {
            f"{key}/{name}": tensor
            for key, sums in self.sums.items()
            for name, tensor in sums.state().items()
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of other examples."""
        for key, sums in self.sums.items():
            sums.merge(within(state, f"{key}/"))

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
