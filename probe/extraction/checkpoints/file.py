"""One checkpoint: a safetensors file whose last tensor is the sha256 of all that is before it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from probe.errors import UserError
from probe.system.files import atomic_write

FORMAT = 1
SUFFIX = ".safetensors"
_SEAL, _SEAL_BYTES = "sha256", hashlib.sha256().digest_size
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64"}
_PIECE = 1 << 20


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of its sums.

    Attributes
    ----------
    of : dict
        What they are sums of, see `find.identity`.
    batches : list of int
        Numbers of the batches that they contain.
    seconds : float
        Seconds that this and the earlier sessions took to get there.
    """

    of: dict[str, Any]
    batches: list[int]
    seconds: float


class DamagedError(Exception):
    """A file is not what was once written."""


def write(path: Path, header: Header, state: Mapping[str, Tensor]) -> None:
    """Write a checkpoint, whole or not at all, and onto the disk before it takes its name.

    `safetensors` itself would hold all sums in memory a second time; here it is one tensor of them.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is as it was.
    """
    digest = hashlib.sha256()
    with atomic_write(path) as unfinished, unfinished.open("wb") as stream:
        pieces: Iterator[bytes | memoryview] = chain(
            [_preamble(header, state)], map(_bytes, state.values())
        )
        for piece in pieces:
            digest.update(piece)
            stream.write(piece)
        stream.write(digest.digest())
        stream.flush()
        os.fsync(stream.fileno())
    _sync(path.parent)


def check(path: Path) -> tuple[Header, str]:
    """Read what a checkpoint says of itself, and its seal, once all its bytes agree with that.

    Raises
    ------
    DamagedError
        If they do not, with the reason.
    UserError
        If another version of the program has written it.
    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            left = os.fstat(stream.fileno()).st_size - _SEAL_BYTES
            while left > 0:
                piece = stream.read(min(left, _PIECE))
                digest.update(piece)
                left -= len(piece) or left
            seal = stream.read()
        if seal != digest.digest():
            raise DamagedError("its content is not what its sha256 says")
        with safe_open(path, "pt") as tensors:
            content = json.loads(tensors.metadata()["checkpoint"])
        found = content.pop("format")
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from None
    except (SafetensorError, ValueError, TypeError, KeyError):
        raise DamagedError("it is no checkpoint") from None
    if found != FORMAT:
        raise UserError(
            f"{path} is a checkpoint of format {found}, and this version of probe reads format "
            f"{FORMAT}; go on with the version that wrote it, or start afresh with overwrite=true"
        )
    return Header(**content), seal.hex()


def load(path: Path, seal: str) -> dict[str, Tensor]:
    """Load the sums of a checkpoint that has been checked; they are read where they are looked at.

    Raises
    ------
    UserError
        If it is not the file that was checked.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError):
        state = {}
    if _SEAL not in state or _bytes(state.pop(_SEAL)).tobytes().hex() != seal:
        raise UserError(
            f"{path} has changed since it was looked at, so that another process is at this run; "
            "end that, and give the same command again"
        )
    return state


def _preamble(header: Header, state: Mapping[str, Tensor]) -> bytes:
    """Write what stands before the tensors (github.com/huggingface/safetensors, `Format`)."""
    content = json.dumps({"format": FORMAT, **asdict(header)})
    layout: dict[str, Any] = {"__metadata__": {"checkpoint": content}}
    for name, dtype, shape, place in _places(state):
        layout[name] = {"dtype": dtype, "shape": shape, "data_offsets": place}
    text = json.dumps(layout).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _places(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str, list[int], list[int]]]:
    start = 0
    for name, tensor in state.items():
        stop = start + tensor.nbytes
        yield name, _DTYPES[tensor.dtype], list(tensor.shape), [start, stop]
        start = stop
    yield _SEAL, "U8", [_SEAL_BYTES], [start, start + _SEAL_BYTES]


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.cpu().contiguous().numpy().reshape(-1).view(np.uint8).data


def _sync(folder: Path) -> None:
    """Have the new name on the disk, too, where a folder can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
