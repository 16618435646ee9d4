"""The request to the ranks, also as bytes."""

import io
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from probe.config import Config, from_plain, to_plain
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec


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
    """

    config: Config
    layers: list[int]
    batches: list[Batch]
    names: list[str]
    run: str
    matrices: list[MatrixSpec]
    checkpoints: Checkpoints | None = None

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
        """Pack the request, without the keys of a study, which are no part of an extraction."""
        config = to_plain(self.config)
        rest = {
            "config": {field.name: config[field.name] for field in fields(Config)},
            "layers": self.layers,
            "names": self.names,
            "run": self.run,
            "batches": [
                {"members": b.members, "cell": b.cell, "spans": b.spans} for b in self.batches
            ],
            "matrices": [asdict(matrix) for matrix in self.matrices],
            "checkpoints": None if self.checkpoints is None else asdict(self.checkpoints),
        }
        series = [ids for batch in self.batches for ids in batch.ids]
        stream = io.BytesIO()
        np.savez(
            stream,
            rest=np.frombuffer(json.dumps(rest).encode(), dtype=np.uint8),
            ids=np.concatenate([np.asarray(ids, dtype=np.int32) for ids in series]),
            lengths=np.array([len(ids) for ids in series]),
        )
        return stream.getvalue()

    @staticmethod
    def config_of(packed: bytes) -> Config:
        """Unpack the configuration alone."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return from_plain(json.loads(arrays["rest"].tobytes())["config"])

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Request":
        """Unpack a request."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            rest = json.loads(arrays["rest"].tobytes())
            ends = np.cumsum(arrays["lengths"])
            series = iter([ids.tolist() for ids in np.split(arrays["ids"], ends[:-1])])
        batches = [
            Batch(
                batch["members"],
                [next(series) for _ in batch["members"]],
                batch["cell"],
                batch["spans"] and [(start, stop) for start, stop in batch["spans"]],
            )
            for batch in rest.pop("batches")
        ]
        config = from_plain(rest.pop("config"))
        matrices = [MatrixSpec(**matrix) for matrix in rest.pop("matrices")]
        checkpoints = rest.pop("checkpoints")
        return cls(
            config=config,
            batches=batches,
            matrices=matrices,
            checkpoints=None if checkpoints is None else Checkpoints(**checkpoints),
            **rest,
        )
