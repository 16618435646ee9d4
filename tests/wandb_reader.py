"""Reads back what an offline W&B run has written, without W&B's own server or commands."""

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK, _HEAD = 32768, struct.Struct("<IHB")  # LevelDB's log: checksum, length, kind of a piece
_PREAMBLE = 7  # ":W&B", a magic number, a version
_WHOLE, _LAST = 1, 4


@dataclass
class LoggedRun:
    """A run as W&B's server would see it.

    Attributes
    ----------
    run : RunRecord
        Name, group, job type, tags.
    config, summary : dict
        Values by key, nested.
    history : list of dict
        Rows in the order in which they were logged.
    metrics : list of MetricRecord
        Calls of `define_metric`.
    artifacts : list of ArtifactRecord
        With the manifest of their files.
    exit_code : int or None
        None if the run was never finished.
    folder : Path
        Where the media files are, under `files/`.
    """

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def logged(self, key: str) -> list[Any]:
        """Return the values of one key, in the order in which they were logged."""
        return [row[key] for row in self.history if key in row]

    def table(self, key: str) -> dict[str, Any]:
        """Return a logged table, `columns` and `data`."""
        (table,) = self.logged(key)
        return dict(json.loads((self.folder / "files" / table["path"]).read_text()))


def read_offline_run(run: Path, patience: float = 20.0) -> LoggedRun:
    """Read the only offline run below a folder.

    W&B's own process writes the file, and is at it still when `finish` has returned: wait until
    the last record is there, at most `patience` seconds.
    """
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    end = time.monotonic() + patience
    while (logged := _read(file)).exit_code is None and time.monotonic() < end:
        time.sleep(0.02)
    return logged


def _read(file: Path) -> LoggedRun:
    logged = LoggedRun(file.parent)
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            logged.run = record.run
            _set(logged.config, record.run.config.update)
        elif kind == "summary":
            _set(logged.summary, record.summary.update)
        elif kind == "history":
            logged.history.append(_set({}, record.history.item))
        elif kind == "metric":
            logged.metrics.append(record.metric)
        elif kind == "artifact":
            logged.artifacts.append(record.artifact)
        elif kind == "exit":
            logged.exit_code = record.exit.exit_code
    return logged


def _records(content: bytes) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    assert content[:4] in (b":W&B", b"")
    at, pieces = _PREAMBLE, b""
    while at < len(content):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD.size:  # too little room for a piece: zeros up to the block's end
            at += left
            continue
        if at + _HEAD.size > len(content):
            return
        _, length, kind = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        if at + length > len(content):  # not all of it is written yet
            return
        pieces += content[at : at + length]
        at += length
        if kind in (_WHOLE, _LAST):
            yield Record.FromString(pieces)
            pieces = b""


def _set(values: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        *path, last = item.nested_key or [item.key]
        place = values
        for key in path:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return values
