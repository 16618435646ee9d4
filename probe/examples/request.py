"""The request to the ranks, also as bytes."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.config import Config, from_plain, to_plain
from probe.distributed import on_one_machine
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.examples.counting import Dropped
from probe.examples.partition import MatrixSpec
from probe.examples.token_ids import TokenFile, TokenIds, store_of


@dataclass(frozen=True)
class Checkpoints:
    """Where an extraction saves its sums, and the checkpoints of earlier sessions.

    Attributes
    ----------
    folder : str
        Folder of the checkpoints.
    of : dict
        What the sums depend on, see `probe.extraction.checkpoints.find.identity`.
    files : dict of str to str
        Names of the files to load, each with its seal.
    old : list of str
        Names of all files there, to be removed once rank 0's file contains them.
    batches : list of int
        Numbers of the finished batches.
    sessions : int
        Sessions before this one.
    seconds : float
        Seconds that they took.
    """

    folder: str
    of: dict[str, Any]
    files: dict[str, str]
    old: list[str]
    batches: list[int]
    sessions: int
    seconds: float


@dataclass(frozen=True)
class Request:
    """An extraction: the same batches, whatever the number of ranks.

    Attributes
    ----------
    config : Config
        The run.
    layers : list of int
        Layers to read.
    batches : list of Batch
        All batches; `share.deal` assigns them to ranks.
    names : list of str
        Name of every example, for error messages.
    run : str
        Name of the extraction, unique in the process group.
    matrices : list of MatrixSpec
        Matrices to compute.
    checkpoints : Checkpoints, optional
        Checkpoints, if sums are to be saved.
    describe : bool
        Whether to keep the tokens on which neurons are largest, by which hubs are described.
    """

    config: Config
    layers: list[int]
    batches: list[Batch]
    names: list[str]
    run: str
    matrices: list[MatrixSpec]
    checkpoints: Checkpoints | None = None
    describe: bool = True

    @property
    def processes(self) -> int | None:
        """Number of ranks to request; one if a model takes all devices."""
        config = self.config
        return config.launch.num_processes if config.model.device_map is None else 1

    @property
    def n_examples(self) -> int:
        """Number of examples in the batches; views can leave out some of the chosen ones."""
        return sum(len(batch.members) for batch in self.batches)

    @property
    def left(self) -> list[Batch]:
        """Batches that no earlier session has finished."""
        done = set(self.checkpoints.batches) if self.checkpoints is not None else set()
        return [batch for number, batch in enumerate(self.batches) if number not in done]

    def not_finite(self, example: int, layer: int) -> UserError:
        """Return the error for an example with an activation that is not finite."""
        return UserError(
            f"example {example} ({self.names[example]}) has an activation that is not finite in "
            f"layer {layer}; leave it out or use model.dtype=float32"
        )

    def to_bytes(self) -> bytes:
        """Pack the request, without the keys of a study, which are no part of an extraction.

        Token ids that are in a file are left there, if all ranks are on its machine; the file is
        there as long as the request.
        """
        config = to_plain(self.config)
        texts = [ids for batch in self.batches for ids in batch.ids]
        store = store_of(texts) if texts and on_one_machine() else None
        file = None if store is None else store.file
        rest = {
            "layers": self.layers,
            "names": self.names,
            "run": self.run,
            "matrices": [asdict(matrix) for matrix in self.matrices],
            "describe": self.describe,
            "checkpoints": None if self.checkpoints is None else asdict(self.checkpoints),
        }
        dropped = self.batches[0].dropped if self.batches else None
        assert all(batch.dropped == dropped for batch in self.batches), "one for all batches"
        stream = io.BytesIO()
        arrays: dict[str, Any] = {
            "config": _as_json({field.name: config[field.name] for field in fields(Config)}),
            "rest": _as_json(rest),
            "held": _as_json(file),
            "dropped": _as_json(None if dropped is None else dropped.ids),
            **_columns(self.batches),
            **_ids(texts, inline=file is None),
        }
        np.savez(stream, **arrays)
        return stream.getvalue()

    @staticmethod
    def config_of(packed: bytes) -> Config:
        """Unpack the configuration alone."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return from_plain(_of_json(arrays["config"]))

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Request":
        """Unpack a request."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            config, rest = from_plain(_of_json(arrays["config"])), _of_json(arrays["rest"])
            file = _of_json(arrays["held"])
            held = arrays["ids"] if file is None else TokenFile(file)
            places = zip(arrays["starts"].tolist(), arrays["lengths"].tolist(), strict=True)
            texts = (TokenIds(held, start, length) for start, length in places)
            ids = _of_json(arrays["dropped"])
            batches = list(_batches(arrays, texts, None if ids is None else Dropped(tuple(ids))))
        matrices = [MatrixSpec(**matrix) for matrix in rest.pop("matrices")]
        checkpoints = rest.pop("checkpoints")
        return cls(
            config=config,
            batches=batches,
            matrices=matrices,
            checkpoints=None if checkpoints is None else Checkpoints(**checkpoints),
            **rest,
        )


def _as_json(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _of_json(packed: NDArray[np.uint8]) -> Any:
    return json.loads(packed.tobytes())


def _columns(batches: list[Batch]) -> dict[str, NDArray[np.int64]]:
    """Return the batches without their token ids."""
    spans = [span for batch in batches for span in batch.spans or ()]
    return {
        "members": np.array([member for b in batches for member in b.members], dtype=np.int64),
        "cells": np.array([b.cell for b in batches], dtype=np.int64),
        "rows": np.array([len(b.members) for b in batches], dtype=np.int64),
        "has_spans": np.array([b.spans is not None for b in batches], dtype=np.int64),
        "spans": np.array(spans, dtype=np.int64).reshape(-1, 2),
    }


def _ids(texts: list[Sequence[int]], inline: bool) -> dict[str, NDArray[Any]]:
    """Return where each text's token ids are, and with `inline` also these."""
    lengths = np.array([len(ids) for ids in texts], dtype=np.int64)
    if not inline:
        starts = np.array([ids.start for ids in texts if isinstance(ids, TokenIds)], dtype=np.int64)
        return {"starts": starts, "lengths": lengths}
    ids = np.empty(lengths.sum(), dtype=np.int32)
    starts = lengths.cumsum() - lengths
    for one, start in zip(texts, starts.tolist(), strict=True):
        ids[start : start + len(one)] = one
    return {"starts": starts, "lengths": lengths, "ids": ids}


def _batches(
    arrays: Mapping[str, NDArray[Any]], texts: Iterator[TokenIds], dropped: Dropped | None
) -> Iterator[Batch]:
    members, spans = iter(arrays["members"].tolist()), iter(arrays["spans"].tolist())
    rows = (arrays[name].tolist() for name in ("rows", "cells", "has_spans"))
    for number, cell, has_spans in zip(*rows, strict=True):
        own = [next(members) for _ in range(number)]
        counted = [tuple(next(spans)) for _ in range(number)] if has_spans else None
        yield Batch(own, [next(texts) for _ in range(number)], cell, counted, dropped)
