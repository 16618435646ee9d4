"""The sums of one pass: one set for every cell of the examples, merged into matrices.

A matrix of one layer, or of the mean over several, correlates a layer's neurons with each other
(`LayerSums`); `layers=cross` and `full` correlate those of two layers (`PairSums`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from probe.correlation import (
    BatchSeries,
    BatchShape,
    BetweenSums,
    Correlation,
    Matmul,
    MostBytes,
    Sums,
    batch_series,
    finish,
    series_bytes,
)
from probe.examples.partition import MatrixSpec
from probe.extraction.out_of_memory import Journal

# Returns where the sums of some layers live, given these and the sums' bytes.
Place = Callable[[Sequence[int], int], torch.device]
META = torch.device("meta")


Member = TypeVar("Member", Sums, BetweenSums)


class Key(NamedTuple):
    """What sums are of: layers, a cell, and a scheme where there may be several."""

    layers: tuple[int, ...]
    cell: int
    scheme: str = ""

    def __str__(self) -> str:
        layers = "-".join(map(str, self.layers))
        return "/".join(filter(None, [self.scheme, layers, str(self.cell)]))


def placed(make: Callable[[torch.device], Member], layers: Sequence[int], place: Place) -> Member:
    """Make the sums of some layers where there is room for them."""
    return make(place(layers, _bytes(make(META).state())))


def _bytes(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in state.values())


class KeyedSums(Generic[Member]):
    """Sums by key.

    Attributes
    ----------
    name : str
        Unique among the sums that share a journal.
    sums : dict
        Sums by key.
    """

    def __init__(self, name: str, sums: dict[Key, Member], journal: Journal) -> None:
        self.name, self._journal = name, journal
        self.sums: dict[Key, Member] = sums

    def state(self) -> dict[str, Tensor]:
        """Return all sums by name."""
        return {
            f"{self.name}/{key}/{name}": tensor
            for key, sums in self.sums.items()
            for name, tensor in sums.state().items()
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all sums."""
        return _bytes(self.state())

    def most_bytes(self, batch: BatchShape, cell: int) -> MostBytes:
        """Return the most bytes that batches of a shape and cell take, see `Sums.most_bytes`."""
        sizes = [(key, sums.most_bytes(batch)) for key, sums in self.sums.items()]
        return MostBytes.of(
            size if key.cell == cell else MostBytes(run=size.run) for key, size in sizes
        )

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of other examples."""
        for key, sums in self.sums.items():
            sums.merge(within(state, f"{self.name}/{key}/"))


class LayerSums(KeyedSums[Sums]):
    """One `Sums` for each scheme, set of layers and cell that some matrix needs.

    Parameters
    ----------
    name : str
        Their name.
    matrices : iterable of MatrixSpec
        Matrices to make.
    make : callable
        Returns empty sums, given the scheme and the layers averaged together.
    journal : Journal
        Finished steps of the current batch.
    """

    def __init__(
        self,
        name: str,
        matrices: Iterable[MatrixSpec],
        make: Callable[[str, tuple[int, ...]], Sums],
        journal: Journal,
    ) -> None:
        self._make = make
        keys = dict.fromkeys(
            Key(tuple(matrix.layers), cell, matrix.scheme)
            for matrix in matrices
            for cell in matrix.cells
        )
        super().__init__(name, {key: make(key.scheme, key.layers) for key in keys}, journal)

    def update(
        self,
        layer: int,
        cell: int,
        activations: Tensor,
        keep: Tensor,
        weight: Tensor,
        strongest: Tensor | None = None,
    ) -> list[Tensor]:
        """Add one layer's activations of a batch to every sum that still needs them.

        Returns which examples are finite, once for every sum that was updated.
        """
        finite = []
        for key, sums in self.sums.items():
            step = (self.name, key, layer)
            if key.cell == cell and layer in key.layers and self._journal.todo(step):
                place = key.layers.index(layer)
                carry = self._journal.carry.setdefault((self.name, key), {})
                update = sums.update(activations, keep, weight, place, carry, strongest)
                finite.append(update)
                self._journal.note(step)
        return finite

    def average(self, matrix: MatrixSpec) -> Correlation:
        """Return the average over a matrix's layers and the union of its cells."""
        layers = tuple(matrix.layers)
        members = [self.sums[Key(layers, cell, matrix.scheme)] for cell in matrix.cells]
        if len(members) == 1:
            return members[0].finish()
        union = self._make(matrix.scheme, layers)
        for sums in members:
            union.merge(sums.state())
        return union.finish()


class PairSums(KeyedSums[BetweenSums]):
    """One `BetweenSums` for each pair of layers and cell that some matrix needs.

    They take 8 bytes for each of a pair's n² entries, twice that if any of its neurons is constant
    in some example, and one batch's series of all layers.

    Parameters
    ----------
    matrices : iterable of MatrixSpec
        Matrices to make, all of one scheme; those of single layers are ignored.
    n_neurons : int
        Neurons of a layer.
    place : callable
        Returns where a pair's sums live; the device must have float64.
    journal : Journal
        Finished steps of the current batch.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products.
    """

    def __init__(
        self,
        matrices: Iterable[MatrixSpec],
        n_neurons: int,
        place: Place,
        journal: Journal,
        matmul: Matmul = "fp32",
    ) -> None:
        joint = [matrix for matrix in matrices if matrix.pairs]
        schemes = {matrix.scheme for matrix in joint}
        assert len(schemes) <= 1, schemes
        self.fisher = "fisher" in schemes
        keys = dict.fromkeys(
            Key(pair, cell) for matrix in joint for pair in matrix.pairs for cell in matrix.cells
        )
        make = partial(BetweenSums, n_neurons, fisher=self.fisher, matmul=matmul)
        # With the later layer: its series are there when they are added.
        sums = {key: placed(make, key.layers[1:], place) for key in keys}
        super().__init__("pairs", sums, journal)
        self.n_neurons = n_neurons
        self.layers = sorted({layer for key in keys for layer in key.layers})

    def update(
        self, layer: int, cell: int, activations: Tensor, keep: Tensor, weight: Tensor
    ) -> list[Tensor]:
        """Add one layer's activations of a batch, whose layers come in order.

        Sums that have them already are not changed. Returns which examples are finite, nothing if
        no matrix needs the layer.
        """
        if layer not in self.layers:
            return []
        series: dict[int, BatchSeries] = self._journal.series
        series[layer] = batch_series(activations, keep, weight, self.fisher)
        for key, sums in self.sums.items():
            step = (self.name, key)
            if key.cell == cell and key.layers[1] == layer and self._journal.todo(step):
                sums.update(series[key.layers[0]], series[layer], weight)
                self._journal.note(step)
        return [series[layer].finite]

    def most_bytes(self, batch: BatchShape, cell: int) -> MostBytes:
        """Return the most bytes that batches take, with the series of all layers."""
        series = series_bytes(batch, self.n_neurons, self.fisher)
        return MostBytes.of([super().most_bytes(batch, cell), *[series] * len(self.layers)])

    def take(self, matrix: MatrixSpec, pair: tuple[int, int]) -> list[Correlation]:
        """Return the average over a matrix's cells, then that of each half if there are halves.

        The sums are freed, so that sums and averages are not in memory together.
        """
        cells = [self.sums.pop(Key(pair, cell)) for cell in matrix.cells]
        halves = [sums.finish() for sums in cells] if matrix.halves else []
        union, *others = cells
        for sums in others:
            union.merge(sums.state())
        averages = [union.finish(), *halves]
        return [_with_itself(each) for each in averages] if pair[0] == pair[1] else averages


def _with_itself(average: Correlation) -> Correlation:
    """Make the average of a layer with itself symmetric with a unit diagonal."""
    undefined = average.undefined[: len(average.matrix)]
    return Correlation(finish(average.matrix, undefined).matrix, average.undefined)


def within(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries under a prefix, without it."""
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
