"""Factors on disk: shards of half-precision series and one index, read example by example."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from probe.correlation import standardise
from probe.data.document import Label
from probe.errors import UserError
from probe.factors.factor import Factor

INDEX = "factors.json"
TOKENS = "tokens"
# Over 64 to 512 tokens the error of r is below 3e-4; in bfloat16, as large a type, 8 times that.
STORED = torch.float16


@dataclass(frozen=True)
class StoredExample:
    """An example whose factors are stored.

    Attributes
    ----------
    example : int
        Its number among the chosen examples, from 0.
    document, group : str
        Its document, and the group that must be on one side of a split.
    subject, answer, labels
        Those of the document, see `probe.data.Document`.
    n_tokens : int
        Tokens of its series.
    shard : str
        File with its series.
    start : int
        Index of its first token in the shard.
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


@dataclass(frozen=True, eq=False)
class FactorStore:
    """Factors of every example and layer, read from disk on demand.

    Attributes
    ----------
    folder : Path
        Folder of the factors.
    layers : tuple of int
        Layers stored.
    n_neurons : int
        Neurons of a layer.
    examples : tuple of StoredExample
        Examples, by number.
    computed : mapping
        The part of the configuration that the factors depend on.
    fingerprints : mapping
        Fingerprints of the weights and the texts.
    """

    folder: Path
    layers: tuple[int, ...]
    n_neurons: int
    examples: tuple[StoredExample, ...]
    computed: Mapping[str, Any]
    fingerprints: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.examples)

    def factor(self, example: int, layer: int, device: torch.device | None = None) -> Factor:
        """Read the factor of one example, `series` of shape (n_tokens, n_neurons).

        Raises
        ------
        UserError
            If the example or the layer is not stored.
        """
        return Factor(unpack(self._read(example, self._layer(layer)).to(device)))

    def batch(
        self, examples: Sequence[int], layer: int, device: torch.device | None = None
    ) -> Factor:
        """Read some examples, padded with zeros: (n_examples, n_tokens, n_neurons).

        Raises
        ------
        UserError
            If an example or the layer is not stored.
        """
        name = self._layer(layer)
        series = [self._read(example, name) for example in examples]
        # Half the bytes go to the device.
        return Factor(unpack(Factor.stack([Factor(one) for one in series]).series.to(device)))

    def batches(
        self, layer: int, examples: Sequence[int], size: int, device: torch.device | None = None
    ) -> Iterator[tuple[list[int], Factor]]:
        """Yield examples in the given order, `size` at a time, with their factors."""
        for start in range(0, len(examples), size):
            some = list(examples[start : start + size])
            yield some, self.batch(some, layer, device)

    def tokens(self, example: int) -> Tensor:
        """Return the token ids of an example, int64, shape (n_tokens,)."""
        return self._read(example, TOKENS).long()

    def _layer(self, layer: int) -> str:
        if layer not in self.layers:
            raise UserError(
                f"{self.folder} has no layer {layer}; it has {', '.join(map(str, self.layers))}"
            )
        return f"layer_{layer}"

    def _read(self, example: int, name: str) -> Tensor:
        if not 0 <= example < len(self):
            raise UserError(f"{self.folder} has no example {example}; it has 0 to {len(self) - 1}")
        record = self.examples[example]
        # Mapped into memory: only these rows are read.
        rows = slice(record.start, record.start + record.n_tokens)
        with safe_open(self.folder / record.shard, "pt") as shard:
            values: Tensor = shard.get_slice(name)[rows]
            return values


def open_factors(folder: str | os.PathLike[str]) -> FactorStore:
    """Open the factors that `write_factors` wrote; only the index is read.

    Raises
    ------
    UserError
        If there are no factors, or a file is missing or truncated.
    """
    place = Path(folder)
    if not (place / INDEX).is_file():
        raise UserError(
            f"{place} has no factors: no {INDEX}; write_factors(config, folder) makes it"
        )
    try:
        index: dict[str, Any] = json.loads((place / INDEX).read_text())
    except ValueError:
        raise UserError(f"{place / INDEX} is not JSON; write the factors again") from None
    for name, size in index["shards"].items():
        file = place / name
        if not file.is_file() or file.stat().st_size != size:
            raise UserError(f"{file} is missing or truncated; write the factors again")
    return FactorStore(
        folder=place,
        layers=tuple(index["layers"]),
        n_neurons=index["n_neurons"],
        examples=tuple(StoredExample(**record) for record in index["examples"]),
        computed=index["computed"],
        fingerprints=index["fingerprints"],
    )


def pack(activations: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Standardise a batch and round it for storage: series of length √T, entries around 1.

    Parameters
    ----------
    activations, keep
        As in `probe.correlation.standardise`.

    Returns
    -------
    series : Tensor of float16, shape (n_examples, n_tokens, n_neurons)
        Zero at tokens that do not count and for constant neurons.
    finite : Tensor of bool, shape (n_examples,)
        False where an activation is not finite.
    """
    series, _, finite = standardise(activations, keep, keep.sum(dim=1).double().sqrt())
    return series.to(STORED), finite


def unpack(stored: Tensor) -> Tensor:
    """Restore series of length 1, which also undoes most of the rounding error of an outlier."""
    series = stored.float()
    length: Tensor = torch.linalg.vector_norm(series, dim=-2, keepdim=True)
    series /= length.masked_fill_(length == 0, 1)
    return series
