"""Sums for every cell of the examples, of which the wanted matrices are put together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from probe.cells import Wanted
from probe.correlation import Correlation, Sums
from probe.journal import Journal


class _Mergeable(Protocol):
    def state(self) -> dict[str, Tensor]: ...

    def merge(self, state: Mapping[str, Tensor]) -> None: ...


Key = TypeVar("Key", bound=Hashable)
Member = TypeVar("Member", bound=_Mergeable)


class KeyedSums(Generic[Key, Member]):
    """Sums by what they are of, and which of them have what is being read already.

    Attributes
    ----------
    sums : dict
        Sums by key.
    journal : Journal
        What is done of a batch that may have to be read again in halves.
    """

    def __init__(self, sums: dict[Key, Member]) -> None:
        self.sums, self.journal = sums, Journal()

    def halve(self, cell: int, rows: int) -> None:
        """Hear that a batch ran out of memory: its first rows come again, then the others."""
        self.journal.halve()

    def go_on(self, cell: int) -> None:
        """Hear that all layers of a batch, or of a half of one, are done."""
        self.journal.go_on()

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


class _Key(NamedTuple):
    scheme: str
    layers: tuple[int, ...]
    cell: int

    def __str__(self) -> str:
        return f"{self.scheme}/{'-'.join(map(str, self.layers))}/{self.cell}"


class CellSums(KeyedSums[_Key, Sums]):
    """One `Sums` for each scheme, set of layers and cell that some wanted matrix needs.

    Parameters
    ----------
    wanted : iterable of Wanted
        Matrices to make.
    make : callable
        Returns empty sums, given the scheme and the layers averaged together.
    """

    def __init__(
        self, wanted: Iterable[Wanted], make: Callable[[str, tuple[int, ...]], Sums]
    ) -> None:
        self._make = make
        keys = dict.fromkeys(
            _Key(matrix.scheme, tuple(matrix.layers), cell)
            for matrix in wanted
            for cell in matrix.cells
        )
        super().__init__({key: make(key.scheme, key.layers) for key in keys})

    def update(
        self, layer: int, cell: int, activations: Tensor, keep: Tensor, weight: Tensor
    ) -> list[Tensor]:
        """Add one layer's activations of a batch to every sum that needs them.

        Sums that have them already are left alone, see `halve`. Returns which examples are finite,
        as every sum tells it that is not.
        """
        finite = []
        for key, sums in self.sums.items():
            wants = key.cell == cell and layer in key.layers
            if wants and self.journal.todo((key, layer)):
                finite.append(sums.update(activations, keep, weight, key.layers.index(layer)))
                self.journal.note((key, layer))
        return finite

    def halve(self, cell: int, rows: int) -> None:
        """Hear that a batch ran out of memory: its first `rows` come again, then the others."""
        super().halve(cell, rows)
        for key, sums in self.sums.items():
            if key.cell == cell:
                sums.halve(rows)

    def go_on(self, cell: int) -> None:
        """Hear that all layers of a batch, or of a half of one, are done."""
        super().go_on(cell)
        for key, sums in self.sums.items():
            if key.cell == cell:
                sums.go_on()

    def average(self, matrix: Wanted) -> Correlation:
        """Return the average over a matrix's layers and the union of its cells."""
        layers = tuple(matrix.layers)
        members = [self.sums[_Key(matrix.scheme, layers, cell)] for cell in matrix.cells]
        if len(members) == 1:
            return members[0].finish()
        union = self._make(matrix.scheme, layers)
        for sums in members:
            union.merge(sums.state())
        return union.finish()


def within(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return what stands under a prefix, without it."""
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
