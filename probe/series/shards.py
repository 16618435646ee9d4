"""Shards: files of bounded size, each with some examples' series in every layer."""

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from probe.series.stored import TOKENS, layer_name
from probe.system.files import atomic_write

# Bytes of series after which a shard is written; it can be one batch larger.
SHARD = 1 << 26
# Number of an example, index of its first token in the shard, and number of its tokens.
Row = tuple[int, int, int]


class ShardWriter:
    """Writes the examples of one rank, shard by shard, each atomically and with whole batches.

    Parameters
    ----------
    folder : Path
        Where the shards go.
    of : str
        What the series are of; an interrupted writing goes on from shards of the same.
    minutes : float
        Time after which a shard is written however small it is.
    limit : int
        Bytes of series after which a shard is written.
    """

    def __init__(self, folder: Path, of: str, minutes: float, limit: int = SHARD) -> None:
        self.folder, self.of, self.limit, self.seconds = folder, of, limit, 60 * minutes
        self._batch: list[tuple[int, dict[str, NDArray[Any]]]] = []
        self._start_shard()

    def add(self, example: int, tokens: NDArray[Any], layers: Mapping[int, NDArray[Any]]) -> None:
        """Add an example: token ids (n_tokens,) and, by layer, series (n_tokens, n_neurons).

        Or their mean, (1, n_neurons).
        """
        series = {layer_name(layer): values for layer, values in layers.items()}
        self._batch.append((example, {TOKENS: tokens.astype(np.int32), **series}))

    def end_batch(self) -> None:
        """Count the examples since the last call as a whole batch; write a shard that is full."""
        for example, arrays in self._batch:
            self._rows.append((example, self._n_tokens, len(arrays[TOKENS])))
            self._n_tokens += len(arrays[TOKENS])
            self._bytes += sum(array.nbytes for array in arrays.values())
            self._arrays.append(arrays)
        self._batch.clear()
        if self._bytes >= self.limit or time.monotonic() - self._started >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write the whole batches that are held; those of a batch that was cut short are lost."""
        if not self._rows:
            return
        whole = {name: np.concatenate([one[name] for one in self._arrays])
                 for name in self._arrays[0]}  # fmt: skip
        # An example is in one shard only, so that the first one's number makes the name unique.
        file = self.folder / f"series-{self._rows[0][0]:07}.safetensors"
        with atomic_write(file) as unfinished:
            # `save_file` would tell of a full disk in an error of its own.
            unfinished.write_bytes(save(whole, {"of": self.of, "rows": json.dumps(self._rows)}))
        self._start_shard()

    def _start_shard(self) -> None:
        self._rows: list[Row] = []
        self._arrays: list[dict[str, NDArray[Any]]] = []
        self._n_tokens = self._bytes = 0
        self._started = time.monotonic()


def find_shards(folder: Path, of: str) -> dict[Path, list[Row]]:
    """Return the shards in a folder that are of the same series, and their examples."""
    found = {}
    for file in sorted(folder.glob("series-*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as shard:
                about = shard.metadata() or {}
        except SafetensorError:
            continue
        if about.get("of") == of:
            found[file] = [(row[0], row[1], row[2]) for row in json.loads(about["rows"])]
    return found


def remove_others(folder: Path, shards: Collection[Path]) -> None:
    """Remove all shards but the given ones, and those that were never finished."""
    for file in {*folder.glob("series-*.safetensors")} - {*shards}:
        file.unlink()
    for unfinished in folder.glob(".series-*.part"):
        unfinished.unlink()


def widths_of(shard: Path, layers: list[int]) -> dict[int, int]:
    """Return the number of neurons by layer in a shard."""
    with safe_open(shard, framework="numpy") as opened:
        return {layer: opened.get_slice(layer_name(layer)).get_shape()[1] for layer in layers}
