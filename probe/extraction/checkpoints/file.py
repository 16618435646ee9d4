"""One checkpoint: a safetensors file whose last tensor is the sha256 of everything before it."""

import hashlib
import json
import os
from collections.abc import Mapping
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

FORMAT = 2
SUFFIX = ".safetensors"
_SEAL, _SEAL_BYTES = "sha256", hashlib.sha256().digest_size
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.int64: "I64",
    torch.uint8: "U8",
}  # fmt: skip
_PIECE = 1 << 20


@dataclass(frozen=True)
class Header:
    """What the sums of a checkpoint are.

    Attributes
    ----------
    of : dict
        What they depend on, see `find.identity`.
    batches : list of int
        Numbers of the batches they contain.
    seconds : float
        Seconds that this and the earlier sessions took.
    """

    of: dict[str, Any]
    batches: list[int]
    seconds: float


class DamagedError(Exception):
    """A file is not what was written."""


def write(path: Path, header: Header, state: Mapping[str, Tensor]) -> None:
    """Write a checkpoint atomically, synced to the disk before it gets its name.

    `safetensors` itself would need memory for a second copy of all sums; this needs one tensor.

    Raises
    ------
    OSError
        If it cannot be written; an earlier file is unchanged.
    """
    digest = hashlib.sha256()
    with atomic_write(path) as unfinished, unfinished.open("wb") as stream:
        for piece in chain([memoryview(_preamble(header, state))], map(_bytes, state.values())):
            digest.update(piece)
            stream.write(piece)
        stream.write(digest.digest())
        stream.flush()
        os.fsync(stream.fileno())
    _sync(path.parent)


def check(path: Path) -> tuple[Header, str]:
    """Return a checkpoint's header and seal after checking all its bytes.

    Raises
    ------
    DamagedError
        If it is damaged, with the reason.
    UserError
        If another version of the program wrote it.
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
            raise DamagedError("its content does not match its sha256")
        with safe_open(path, "pt") as tensors:
            content = json.loads(tensors.metadata()["checkpoint"])
        version = content.pop("format")
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from None
    except (SafetensorError, ValueError, TypeError, KeyError):
        raise DamagedError("it is not a checkpoint") from None
    if version != FORMAT:
        raise UserError(
            f"{path} is a checkpoint of format {version}, but this version of probe reads format "
            f"{FORMAT}; resume with the version that wrote it, or start afresh with overwrite=true"
        )
    return Header(**content), seal.hex()


def load(path: Path, seal: str) -> dict[str, Tensor]:
    """Map the sums of a checked checkpoint; they are read on use.

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
            f"{path} has changed since it was checked: another process is working on this run; "
            "stop it, then repeat the command"
        )
    return state


def _preamble(header: Header, state: Mapping[str, Tensor]) -> bytes:
    """Return the bytes before the tensors (github.com/huggingface/safetensors, `Format`)."""
    content = json.dumps({"format": FORMAT, **asdict(header)})
    layout: dict[str, Any] = {"__metadata__": {"checkpoint": content}}
    start = 0
    for name, tensor in {**state, _SEAL: torch.empty(_SEAL_BYTES, dtype=torch.uint8)}.items():
        place = [start, start := start + tensor.nbytes]
        dtype, shape = _DTYPES[tensor.dtype], list(tensor.shape)
        layout[name] = {"dtype": dtype, "shape": shape, "data_offsets": place}
    text = json.dumps(layout).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.cpu().contiguous().numpy().reshape(-1).view(np.uint8).data


def _sync(folder: Path) -> None:
    """Sync the new name to the disk, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
