"""Token ids of all texts, kept once: in memory while few, else in a file that ranks read."""

from __future__ import annotations

import os
import platform
import uuid
import weakref
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from probe.errors import UserError
from probe.system.files import report_full_disk

# Tokens that are held in memory: 1 MB of them.
_HELD = 1 << 18
_ENDING = ".int32"


class TokenIds(Sequence[int]):
    """Token ids of one text: a part of what a store or an array holds, not a copy.

    Parameters
    ----------
    held : TokenStore, TokenFile or ndarray of int32
        What holds them; slices of it are arrays.
    start, length : int
        Place of the first, and their number.

    Examples
    --------
    >>> ids = TokenIds(np.array([5, 6, 7, 8], np.int32), 1, 2)
    >>> ids == [6, 7], ids[-1], ids[:1], len(ids)
    (True, 7, [6], 2)
    """

    __slots__ = ("_length", "_start", "held")

    def __init__(self, held: Held, start: int, length: int) -> None:
        self.held, self._start, self._length = held, start, length

    @property
    def start(self) -> int:
        """Place of the first in what holds them."""
        return self._start

    @property
    def array(self) -> NDArray[np.int32]:
        """The ids, shape (n_tokens,); not to be written to."""
        return self.held[self._start : self._start + self._length]

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> list[int]: ...

    def __getitem__(self, at: int | slice) -> int | list[int]:
        found: int | list[int] = self.array[at].tolist()
        return found

    def __iter__(self) -> Any:
        return iter(self.array.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return repr(list(self))


class TokenFile:
    """Token ids in a file, read text by text: pages of a mapped file would count as memory.

    Parameters
    ----------
    file : path
        A file of int32 in the machine's byte order.
    """

    def __init__(self, file: Path | str) -> None:
        self._file, self._handle = file, os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)

    def __getitem__(self, at: slice) -> NDArray[np.int32]:
        """Return some of one text's ids.

        Raises
        ------
        UserError
            If the file ends before them.
        """
        size = 4 * (at.stop - at.start)
        content = os.pread(self._handle, size, 4 * at.start)
        if len(content) != size:  # or a text would be shorter, in silence
            raise UserError(
                f"{self._file} ends before the token ids that were written; leave the output "
                "folder alone while a run lasts, and do the run again"
            )
        return np.frombuffer(content, dtype=np.int32)


class TokenStore:
    """Token ids, one text behind the other.

    Beyond 1 MB they go to a file in the output folder, which is removed with the store, or, if the
    process was killed, by the next one on the same machine that needs such a file.

    Parameters
    ----------
    output : str
        Folder of all results.
    """

    def __init__(self, output: str) -> None:
        self._output = output
        self._tail = array("i")
        self._file: Path | None = None
        self._written = 0
        self._reader: TokenFile | None = None

    def add(self, ids: Sequence[int]) -> TokenIds:
        """Keep the ids of a text, unless they are here.

        Raises
        ------
        UserError
            If the output folder cannot be written, or the disk is full.
        """
        if isinstance(ids, TokenIds) and ids.held is self:
            return ids
        kept = TokenIds(self, self._written + len(self._tail), len(ids))
        self._tail.extend(ids)
        if len(self._tail) >= _HELD:
            self._write()
        return kept

    def __getitem__(self, at: slice) -> NDArray[np.int32]:
        """Return some of one text's ids."""
        if self._reader is not None and at.start < self._written:
            return self._reader[at]
        tail = self._tail[at.start - self._written : at.stop - self._written]
        return np.array(tail, dtype=np.int32)

    @property
    def file(self) -> str | None:
        """The file, with all ids in it; None while they are few."""
        if self._file is None:
            return None
        self._write()
        return str(self._file.resolve())

    def _write(self) -> None:
        if self._file is None:
            self._file = _new_file(self)
            self._reader = TokenFile(self._file)
        with report_full_disk(self._file.parent), self._file.open("ab") as stream:
            stream.write(memoryview(self._tail))
        self._written += len(self._tail)
        self._tail = array("i")


# What may hold token ids.
Held: TypeAlias = TokenStore | TokenFile | NDArray[np.int32]


def store_of(texts: Sequence[Sequence[int]]) -> TokenStore | None:
    """Return the store that holds all of some texts, None if there is none."""
    held = {id(ids.held) if isinstance(ids, TokenIds) else None for ids in texts}
    first = next(iter(texts), None) if len(held) == 1 else None
    found = first.held if isinstance(first, TokenIds) else None
    return found if isinstance(found, TokenStore) else None


def _new_file(store: TokenStore) -> Path:
    """Make a file that is removed with its store, and remove those of processes that are gone.

    A lock beside each says whether its process lives. Other machines' files are left alone, as not
    every network file system shares locks.
    """
    folder, machine = Path(store._output) / ".tokens", platform.node()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{machine}-*{_ENDING}"):
            lock = _lock(left)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _remove(left, lock)
        file = folder / f"{machine}-{uuid.uuid4().hex}{_ENDING}"
        lock = _lock(file)
        lock.acquire(timeout=0)
        file.touch()
    except OSError as error:
        raise UserError(
            f"output={store._output} cannot be written ({error.strerror}); "
            "give another folder with output="
        ) from None
    weakref.finalize(store, _remove, file.resolve(), lock)
    return file


def _lock(file: Path) -> FileLock:
    # Released by whichever thread removes the store.
    return FileLock(file.resolve().with_suffix(".lock"), thread_local=False)


def _remove(file: Path, lock: FileLock) -> None:
    file.unlink(missing_ok=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
