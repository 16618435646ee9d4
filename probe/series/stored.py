"""In what form series are on disk: shards of tokens × neurons, and one index of examples."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

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


def read_example(record: dict[str, Any]) -> StoredExample:
    """Rebuild an example from its record in the index."""
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
def opened(shard: Path, _: int) -> tuple[Any, str, list[list[int]]]:
    """Return an open shard, what it is of, and its examples as `Row`s."""
    shown: Any = safe_open(shard, framework="numpy")
    about = shown.metadata()
    return shown, about["of"], json.loads(about["rows"])
