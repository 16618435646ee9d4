"""Series on disk: shards of tokens × neurons and one index, read piece by piece."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from probe.data.document import Label
from probe.errors import UserError

INDEX = "series.json"
TOKENS = "tokens"
# NumPy has no bfloat16: its bits are stored as uint16.
STORED = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
# In what form series are stored, see `SeriesStore`.
FORM = ("dtype", "standardised", "mean")
# Shards that are open at a time.
_OPEN = 64
_AGAIN = "remove the folder, and write the series again"


@dataclass(frozen=True)
class StoredExample:
    """An example whose series are stored.

    Attributes
    ----------
    example : int
        Its number among the chosen examples, from 0.
    document, group : str
        Its document, and the group that must be on one side of a split.
    subject, answer, labels
        Those of the document, see `probe.data.Document`.
    n_tokens : int
        Tokens of its series, or that its mean is over.
    shard : str
        File with its series.
    start : int
        Index of its first token in the shard.
    spans : mapping of str to (int, int)
        For each part of the text that is known, such as `question` and `answer`, its first token
        among those stored, and the one behind its last.
    """

    example: int
    document: str
    group: str
    n_tokens: int
    shard: str
    start: int
    subject: str | None = None
    answer: int | None = None
    labels: Mapping[str, Label] = field(default_factory=dict, hash=False)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False)


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
            shard, of, rows = _opened(file, file.stat().st_mtime_ns)
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
        examples=tuple(map(_example, index["examples"])),
        order=tuple(index["order"]),
        computed=index["computed"],
        fingerprints=index["fingerprints"],
    )


def folder_of_series(folder: str | os.PathLike[str]) -> Path:
    """Return a folder as a path from the root.

    Raises
    ------
    UserError
        If it is no path.
    """
    try:
        return Path(folder).resolve()
    except TypeError:
        raise UserError(
            f"{folder!r} is no folder of series; give its path, e.g. api.series(config).folder"
        ) from None


def _example(record: dict[str, Any]) -> StoredExample:
    spans = {name: (start, stop) for name, (start, stop) in record.pop("spans").items()}
    return StoredExample(**record, spans=spans)


def layer_name(layer: int) -> str:
    """Return the name of a layer's series in a shard."""
    return f"layer_{layer}"


def widen(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return values as float32; uint16 are the upper halves of float32, which is bfloat16.

    Examples
    --------
    >>> widen(np.array([0x3F80, 0xC000], dtype=np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def hash_of(
    computed: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    dtype: str,
    standardised: bool,
    mean: bool = False,
) -> str:
    """Hash all that the content of series depends on (sha256, hex)."""
    identity = {
        "computed": computed, "fingerprints": fingerprints, "dtype": dtype,
        "standardised": standardised, **({"mean": True} if mean else {}),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


# Opening maps the file into memory and reads its header only. The time distinguishes a file from
# one that was there before it, whose content the map would still show.
@lru_cache(maxsize=_OPEN)
def _opened(shard: Path, _: int) -> tuple[Any, str, list[list[int]]]:
    """Return an open shard, what it is of, and its examples as `Row`s."""
    opened: Any = safe_open(shard, framework="numpy")
    about = opened.metadata()
    return opened, about["of"], json.loads(about["rows"])
