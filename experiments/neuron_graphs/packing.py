"""Packing: rows of many units become few full batches, equal ones are read once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Activations, Ids
from experiments.neuron_graphs.unit import Unit

if TYPE_CHECKING:
    from probe.api.parts import LengthLimit

Asked = tuple[Unit, Activations]


@dataclass(frozen=True, eq=False)
class Gather:
    """Which scalars of a batch are wanted, each array of shape (n_wanted,).

    Attributes
    ----------
    row, position, neuron, sign : ndarray of int64
        Row of the batch, position in it, neuron, and the sign it is multiplied with.
    """

    row: NDArray[np.int64]
    position: NDArray[np.int64]
    neuron: NDArray[np.int64]
    sign: NDArray[np.int64]


# Reads rows up to a layer, and returns the scalars that are wanted, shape (n_wanted,); raises
# MemoryError if they do not fit.
Read = Callable[[int, Sequence[Ids], Gather], NDArray[np.float32]]


@dataclass
class Tally:
    """What every unit took: calls by its share of a batch's asks, rows and tokens as asked.

    `watch` is called after every batch with their number.
    """

    calls: Counter[Unit] = field(default_factory=Counter)
    rows: Counter[Unit] = field(default_factory=Counter)
    tokens: Counter[Unit] = field(default_factory=Counter)
    batches: int = 0
    watch: Callable[[int], None] | None = None

    def add(self, asked: Sequence[tuple[Unit, int]]) -> None:
        """Count a batch that served units, each with its number of tokens."""
        self.batches += 1
        share = 1 / len(asked)
        for unit, tokens in asked:
            self.calls[unit] += share  # type: ignore[assignment]
            self.rows[unit] += 1
            self.tokens[unit] += tokens
        if self.watch is not None:
            self.watch(self.batches)


class Packer:
    """Answers asks for activations with as few passes as fit.

    Parameters
    ----------
    read : callable
        Reads a batch.
    rows, tokens : int
        Most rows of a batch, and most tokens, padding included.
    limit : LengthLimit, optional
        A length that no batch may cross.
    """

    def __init__(
        self, read: Read, rows: int, tokens: int, limit: LengthLimit | None = None
    ) -> None:
        self._read, self._rows, self._tokens, self._limit = read, rows, tokens, limit
        self.tally = Tally()

    def __call__(self, asked: Sequence[Asked]) -> list[NDArray[np.float32]]:
        """Return the answers in the order of the asks."""
        found: dict[int, NDArray[np.float32]] = {}
        layers: defaultdict[int, defaultdict[Ids, list[int]]]
        layers = defaultdict(lambda: defaultdict(list))
        for number, (unit, ask) in enumerate(asked):
            layers[unit.layer][ask.ids].append(number)
        for layer, numbers in layers.items():
            for rows in batches(list(numbers), self._rows, self._tokens, self._limit):
                self._answer(layer, rows, numbers, asked, found)
        return [found[number] for number in range(len(asked))]

    def _answer(
        self,
        layer: int,
        rows: Sequence[Ids],
        numbers: dict[Ids, list[int]],
        asked: Sequence[Asked],
        found: dict[int, NDArray[np.float32]],
    ) -> None:
        wanted = [(row, number) for row, ids in enumerate(rows) for number in numbers[ids]]
        asks = [asked[number] for _, number in wanted]
        lengths = [len(ask.positions) for _, ask in asks]
        gather = Gather(
            np.repeat([row for row, _ in wanted], lengths).astype(np.int64),
            np.concatenate([np.arange(a.positions.start, a.positions.stop) for _, a in asks]),
            np.repeat([unit.neuron for unit, _ in asks], lengths).astype(np.int64),
            np.repeat([unit.sign for unit, _ in asks], lengths).astype(np.int64),
        )
        try:
            values = self._read(layer, rows, gather)
        except MemoryError:
            if len(rows) == 1:
                raise
            values = None
        if values is None:
            # Not where the error was caught, whose traceback keeps the batch's tensors alive.
            half = (len(rows) + 1) // 2
            self._answer(layer, rows[:half], numbers, asked, found)
            self._answer(layer, rows[half:], numbers, asked, found)
            return
        self.tally.add([(unit, len(ask.ids)) for unit, ask in asks])
        ends = np.cumsum(lengths)
        for (_, number), value in zip(wanted, np.split(values, ends[:-1]), strict=True):
            found[number] = value


Row = TypeVar("Row", bound=Sequence[int])


def batches(
    rows: Sequence[Row], most: int, tokens: int, limit: LengthLimit | None = None
) -> Iterator[list[Row]]:
    """Yield rows by length, the longest first, in batches within a budget.

    Examples
    --------
    >>> list(batches([(1,), (1, 2, 3), (4, 5, 6), (7, 8)], most=9, tokens=6))
    [[(1, 2, 3), (4, 5, 6)], [(7, 8), (1,)]]

    With a `limit` no batch crosses the length at which the model reads in another way.
    """
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (-len(row), row)):
        full = len(batch) == most or (bool(batch) and (len(batch) + 1) * len(batch[0]) > tokens)
        crosses = limit is not None and batch and not limit.together(len(batch[0]), len(row))
        if batch and (full or crosses):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
