"""Series on disk, read piece by piece from any process."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError
from probe.series.stored import (
    FORM,
    INDEX,
    TOKENS,
    StoredExample,
    folder_of_series,
    hash_of,
    layer_name,
    opened,
    read_example,
    widen,
)

_AGAIN = "remove the folder, and write the series again"


@dataclass(frozen=True, eq=False)
class SeriesStore:
    """The activations of every example in some layers, on disk until they are asked for.

    A **unit** is a neuron of a layer; units are ordered by layer, then neuron.

    Attributes
    ----------
    folder : Path
        Folder of the store.
    widths : dict of int to int
        Number of neurons by layer, in order.
    dtype : {"float32", "float16", "bfloat16"}
        Type on disk; what is read is widened to float32.
    standardised : bool
        Whether a neuron's series over an example has mean 0 and mean square 1; a constant one is 0.
    mean : bool
        Whether each neuron's mean over an example is stored in place of its series: one row per
        example, wherever tokens are spoken of below, but for `tokens`.
    examples : tuple of StoredExample
        Examples, by number.
    order : tuple of int
        Their numbers in the order in which one process reads them: similar lengths together.
    computed : mapping
        The part of the configuration that the series depend on.
    fingerprints : mapping
        Fingerprints of the weights and the texts.
    """

    folder: Path
    widths: Mapping[int, int]
    dtype: str
    standardised: bool
    examples: tuple[StoredExample, ...]
    order: tuple[int, ...]
    computed: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    mean: bool = False

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers stored."""
        return tuple(self.widths)

    @cached_property
    def of(self) -> str:
        """What the series are of; their shards say the same."""
        form = {name: getattr(self, name) for name in FORM}
        return hash_of(self.computed, self.fingerprints, **form)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """Layer and neuron of every unit, shape (n_units, 2)."""
        each = [(layer, neuron) for layer, n in self.widths.items() for neuron in range(n)]
        return np.array(each, dtype=np.int64)

    def read(self, example: int, layer: int) -> NDArray[np.float32]:
        """Read an example's series in a layer, shape (n_tokens, n_neurons).

        Raises
        ------
        UserError
            If the example or the layer is not stored.
        """
        return widen(self.stored(example, layer))

    def stored(self, example: int, layer: int) -> NDArray[Any]:
        """Read a series as it is on disk; bfloat16 as its bits, in uint16.

        Raises
        ------
        UserError
            If the example or the layer is not stored.
        """
        if layer not in self.widths:
            raise UserError(
                f"{self.folder} has no layer {layer}; it has {', '.join(map(str, self.widths))}"
            )
        return self._read(example, layer_name(layer))

    def tokens(self, example: int) -> NDArray[np.int64]:
        """Return the token ids of an example, shape (n_tokens,)."""
        return self._read(example, TOKENS).astype(np.int64)

    def layer(self, layer: int, examples: Sequence[int] | None = None) -> "LayerSeries":
        """Return the series of a layer, one array per example, each read when it is asked for.

        They can be given to `probe.api.correlate`.
        """
        numbers = range(len(self)) if examples is None else examples
        return LayerSeries(self, layer, tuple(numbers))

    def blocks(
        self,
        n_tokens: int,
        layers: Sequence[int] | None = None,
        examples: Sequence[int] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield all tokens in order as blocks (n_tokens, n_units), the last one shorter.

        Parameters
        ----------
        n_tokens : int
            Tokens of a block, of one example or several.
        layers : sequence of int, optional
            Layers whose units are read (default: all).
        examples : sequence of int, optional
            Examples whose tokens are read, in this order (default: all).

        Raises
        ------
        UserError
            If a block has no token, or a layer is not stored.
        """
        if n_tokens < 1:
            raise UserError(f"n_tokens={n_tokens} is no block; give 1 or more")
        layers = self.layers if layers is None else layers
        rows: list[NDArray[np.float32]] = []
        missing = n_tokens
        for example in range(len(self)) if examples is None else examples:
            series = np.concatenate([self.read(example, layer) for layer in layers], axis=1)
            while len(series) >= missing:
                yield np.concatenate([*rows, series[:missing]])
                series, rows, missing = series[missing:], [], n_tokens
            if len(series):
                rows.append(series)
                missing -= len(series)
        if rows:
            yield np.concatenate(rows)

    def _read(self, example: int, name: str) -> NDArray[Any]:
        if not 0 <= example < len(self):
            raise UserError(f"{self.folder} has no example {example}; it has 0 to {len(self) - 1}")
        one = self.examples[example]
        file = self.folder / one.shard
        try:
            shard, of, rows = opened(file, file.stat().st_mtime_ns)
        except FileNotFoundError:
            raise UserError(f"{file} was removed; {_AGAIN}") from None
        row = [one.example, one.start, one.n_tokens]
        if of != self.of or row not in rows:
            raise UserError(f"{file} was replaced; open the series again")
        place = slice(one.start, one.start + one.n_tokens)
        if self.mean and name != TOKENS:
            place = slice(rows.index(row), rows.index(row) + 1)
        values: NDArray[Any] = shard.get_slice(name)[place]
        return values


@dataclass(frozen=True)
class LayerSeries(Sequence[NDArray[np.float32]]):
    """The series of some examples in one layer, read when they are asked for."""

    store: SeriesStore
    layer: int
    examples: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, place: int) -> NDArray[np.float32]: ...

    @overload
    def __getitem__(self, place: slice) -> "LayerSeries": ...

    def __getitem__(self, place: int | slice) -> "NDArray[np.float32] | LayerSeries":
        """Read the series of an example, (n_tokens, n_neurons), or choose some of the examples."""
        if isinstance(place, slice):
            return LayerSeries(self.store, self.layer, self.examples[place])
        return self.store.read(self.examples[place], self.layer)


def open_series(folder: str | os.PathLike[str]) -> SeriesStore:
    """Open a store that is finished.

    Raises
    ------
    UserError
        If the folder has no finished store, or a shard is missing or truncated.
    """
    place = folder_of_series(folder)
    try:
        index = json.loads((place / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{place} has no series: no {INDEX}; api.series(config, folder) writes it"
        ) from None
    except ValueError:
        raise UserError(f"{place / INDEX} is not JSON; {_AGAIN}") from None
    for shard, size in index["shards"].items():
        file = place / shard
        if not file.is_file() or file.stat().st_size != size:
            raise UserError(f"{file} is missing or truncated; {_AGAIN}")
    return SeriesStore(
        folder=place,
        widths={int(layer): width for layer, width in index["widths"].items()},
        dtype=index["dtype"],
        standardised=index["standardised"],
        mean=index.get("mean", False),  # younger than many stores
        examples=tuple(map(read_example, index["examples"])),
        order=tuple(index["order"]),
        computed=index["computed"],
        fingerprints=index["fingerprints"],
    )
