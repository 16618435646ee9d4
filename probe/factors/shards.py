"""Shards: files of bounded size, each with some examples' series in every layer."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from probe.factors.store import TOKENS
from probe.system.files import atomic_write

# Bytes of series after which a shard is written; it can be one example larger.
SHARD = 1 << 27


class ShardWriter:
    """Writes the examples of one rank, shard by shard, each atomically.

    Parameters
    ----------
    folder : Path
        Where the shards go.
    rank : int
        The rank that writes these shards.
    limit : int
        Bytes of series after which a shard is written.

    Attributes
    ----------
    rows : list of tuple of int
        Example, rank, shard, start and number of tokens of each.
    """

    def __init__(self, folder: Path, rank: int, limit: int = SHARD) -> None:
        self.folder, self.rank, self.limit = folder, rank, limit
        self.rows: list[tuple[int, int, int, int, int]] = []
        self._shard = self._start = self._bytes = 0
        self._pending: list[dict[str, Tensor]] = []

    def add(self, example: int, tokens: Tensor, layers: dict[int, Tensor]) -> None:
        """Add an example: token ids and, by layer, series (n_tokens, n_neurons) as of `pack`."""
        series = {f"layer_{layer}": series.cpu() for layer, series in layers.items()}
        self._pending.append({TOKENS: tokens.int().cpu(), **series})
        self.rows.append((example, self.rank, self._shard, self._start, len(tokens)))
        self._start += len(tokens)
        self._bytes += sum(one.nbytes for one in series.values())
        if self._bytes >= self.limit:
            self.flush()

    def flush(self) -> None:
        """Write the pending examples."""
        if not self._pending:
            return
        whole = {name: torch.cat([one[name] for one in self._pending]) for name in self._pending[0]}
        with atomic_write(self.folder / shard_name(self.rank, self._shard)) as unfinished:
            save_file(whole, unfinished)
        self._shard, self._start, self._bytes, self._pending = self._shard + 1, 0, 0, []


def shard_name(rank: int, shard: int) -> str:
    """Return the name of a shard's file.

    Examples
    --------
    >>> shard_name(1, 12)
    'factors-001-00012.safetensors'
    """
    return f"factors-{rank:03}-{shard:05}.safetensors"


def remove_shards(folder: Path) -> None:
    """Remove the shards of an interrupted run."""
    for pattern in ("factors-*.safetensors", ".factors-*.part"):
        for file in folder.glob(pattern):
            file.unlink()
