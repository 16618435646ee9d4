"""What the ranks are asked to extract, as bytes that any of them can read."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass

import numpy as np

from probe.batches import Batch
from probe.cells import Wanted
from probe.config import Config, from_plain, to_plain
from probe.errors import UserError


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
        All batches; `batches.deal` says which rank does which.
    names : list of str
        Name of every example, to say where something went wrong.
    run : str
        Name of the extraction, unlike that of any other in this process group.
    wanted : list of Wanted
        Matrices to make.
    """

    config: Config
    layers: list[int]
    batches: list[Batch]
    names: list[str]
    run: str
    wanted: list[Wanted]

    @property
    def processes(self) -> int | None:
        """Ranks to ask for; one where a model takes all devices."""
        config = self.config
        return config.launch.num_processes if config.model.device_map is None else 1

    @property
    def n_examples(self) -> int:
        """Number of examples in the batches; of the chosen ones, views may leave some out."""
        return sum(len(batch.members) for batch in self.batches)

    def not_finite(self, example: int, layer: int) -> UserError:
        """Say which example cannot be counted."""
        return UserError(
            f"example {example} ({self.names[example]}) has an activation that is not finite in "
            f"layer {layer}; leave it out, or take model.dtype=float32"
        )

    def to_bytes(self) -> bytes:
        """Pack the request."""
        rest = {
            "config": to_plain(self.config),
            "layers": self.layers,
            "names": self.names,
            "run": self.run,
            "batches": [{"members": b.members, "cell": b.cell} for b in self.batches],
            "wanted": [asdict(wanted) for wanted in self.wanted],
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
    def from_bytes(cls, packed: bytes) -> Request:
        """Unpack a request."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            rest = json.loads(arrays["rest"].tobytes())
            ends = np.cumsum(arrays["lengths"])
            series = iter([ids.tolist() for ids in np.split(arrays["ids"], ends[:-1])])
        batches = [
            Batch(batch["members"], [next(series) for _ in batch["members"]], batch["cell"])
            for batch in rest.pop("batches")
        ]
        config = from_plain(rest.pop("config"))
        wanted = [Wanted(**matrix) for matrix in rest.pop("wanted")]
        return cls(config=config, batches=batches, wanted=wanted, **rest)
