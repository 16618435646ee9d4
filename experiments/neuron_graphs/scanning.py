"""Reading all texts once for all units, on every rank."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from experiments.neuron_graphs.records import ScannedText
from experiments.neuron_graphs.scan import Columns, TopTexts
from experiments.neuron_graphs.unit import Unit
from probe.api import Config, UserError, atomic_write, plural
from probe.api.parts import (
    Batch,
    Keeper,
    Loop,
    Ranks,
    Request,
    Tensors,
    fetch_model,
    find_checkpoints,
    format_bytes,
    free_memory,
    model_fingerprint,
    run_ranks,
)

logger = logging.getLogger(__name__)


class Scan:
    """What a scan has found, read from its file as it is needed.

    Parameters
    ----------
    file : Path
        Where it was written.
    units : list of Unit
        The units, in order.
    ids : mapping of int to list of int
        Token ids by example.
    sampled : mapping of int to slice
        Where the random texts are in the sample, by example.
    """

    def __init__(
        self,
        file: Path,
        units: list[Unit],
        ids: Mapping[int, Sequence[int]],
        sampled: Mapping[int, slice],
    ) -> None:
        self.ids, self.sampled = ids, sampled
        self._number = {unit: number for number, unit in enumerate(units)}
        opened: Any = safe_open(file, "pt")
        self._values, self._documents, self._examples = map(
            opened.get_tensor, ("values", "documents", "examples")
        )
        self._rows, self._sample = map(opened.get_slice, ("rows", "sample"))

    def texts(self, unit: Unit) -> list[ScannedText]:
        """Return the texts that activate a unit, the strongest first; none if it is dead."""
        number = self._number[unit]
        found = [
            (-value, document, place, example)
            for place, (value, document, example) in enumerate(
                zip(
                    self._values[number].tolist(), self._documents[number].tolist(),
                    self._examples[number].tolist(), strict=True,
                )
            )
            if example >= 0
        ]  # fmt: skip
        rows = self._rows[number]
        return [
            ScannedText(
                example, document, np.array(self.ids[example], np.int32),
                rows[place, : len(self.ids[example])].numpy(),
            )
            for _, document, place, example in sorted(found)
        ]  # fmt: skip

    def sample(self, unit: Unit) -> NDArray[np.float32]:
        """Return the unit's activations in the random texts, shape (n_sampled,)."""
        row: Tensor = self._sample[self._number[unit]]
        return row.float().numpy()


def scan(
    request: Request,
    units: list[Unit],
    number: int,
    sampled: Sequence[int],
    begins: int | None,
    file: Path,
) -> Scan:
    """Read all texts on all ranks, or take what an earlier attempt has read.

    Parameters
    ----------
    request : Request
        Model and texts; only the layers of the units are read.
    units : list of Unit
        The units, in order.
    number : int
        Texts that are kept of every unit.
    sampled : sequence of int
        Examples whose activations are kept of every unit.
    begins : int, optional
        The token that begins texts and is left out of everything.
    file : Path
        Where the result goes; what is read of it until then is beside it.

    Raises
    ------
    UserError
        If the model cannot be loaded, an activation is not finite, or there is too little memory.
    """
    request = replace(request, layers=sorted({unit.layer for unit in units}), matrices=[])
    order: dict[str, Any] = {
        "units": [[unit.layer, unit.neuron, unit.sign] for unit in units], "number": number,
        "sampled": list(sampled), "begins": begins,
    }  # fmt: skip
    of = model_fingerprint(request.config.model, request.config.init)
    if not _is_of(file, of):
        ids = _ids(request)
        length = max(map(len, ids.values()))
        _tell_memory(len(units), number, length, sum(len(ids[n]) for n in sampled))
        request = replace(request, checkpoints=find_checkpoints(file.with_suffix(""), request, of))
        payload = json.dumps(order).encode() + b"\0" + request.to_bytes()
        device = request.config.runtime.device
        name = "experiments.neuron_graphs.scanning:read"
        state = run_ranks(name, payload, request.processes, device)
        with atomic_write(file) as unfinished:
            save_file(state, unfinished, {"of": of})
    return found(request, units, sampled, file)


def found(request: Request, units: list[Unit], sampled: Sequence[int], file: Path) -> Scan:
    """Return what `scan` has written."""
    ids = _ids(request)
    return Scan(file, units, ids, _sampled(sampled, ids))


def _is_of(file: Path, of: str) -> bool:
    try:
        with safe_open(file, "pt") as opened:
            return bool((opened.metadata() or {}).get("of") == of)
    except (OSError, SafetensorError):
        return False


def _tell_memory(n_units: int, number: int, length: int, n_sampled: int) -> None:
    needed = TopTexts.bytes_needed(n_units, number, length, n_sampled)
    free = free_memory(torch.device("cpu"))
    logger.info(
        "the scan of %s keeps %s on the host; nothing else grows with their number",
        plural(n_units, "unit"), format_bytes(needed),
    )  # fmt: skip
    if free is not None and needed > free:
        raise UserError(
            f"the scan of {n_units} units needs {format_bytes(needed)} on the host, and "
            f"{format_bytes(free)} are free; give fewer study.units, a smaller study.texts or "
            "study.random, or shorter texts with data.cut=tokens data.window="
        )


def fetch(payload: bytes) -> None:
    """Download the model that `read` will load; called once per machine."""
    config: Config = Request.config_of(payload.partition(b"\0")[2])
    fetch_model(config.model, config.init)


def read(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Read this rank's share of the texts; return on rank 0 the `TopTexts` of all as tensors."""
    order, _, packed = payload.partition(b"\0")
    given, request = json.loads(order), Request.from_bytes(packed)
    top = _empty(given, request)
    documents = _documents(request)
    loop = Loop(request, ranks)

    def consume(batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        keep = tensors.attended.to(activations.device)
        finite = (activations.isfinite().all(dim=2) | ~keep).all(dim=1)
        for row in (~finite).nonzero()[:1].flatten().tolist():
            raise request.not_finite(batch.members[row], layer)
        if given["begins"] is not None:
            keep = keep.clone()
            keep[:, 0] &= (tensors.tokens[:, 0] != given["begins"]).to(keep.device)
        top.add(layer, activations, keep, batch.members, documents[batch.members])

    with Keeper(request, ranks, top) as keeper:
        for _ in loop.batches(consume, done=keeper.note):
            continue
        keeper.wait()
    for state in ranks.collect(top.state()):
        top.merge(state)
    return top.state() if ranks.main else {}


def _empty(given: dict[str, Any], request: Request) -> TopTexts:
    ids = _ids(request)
    columns = Columns.of([Unit(*row) for row in given["units"]])
    longest = max(map(len, ids.values()))
    return TopTexts(columns, given["number"], longest, _sampled(given["sampled"], ids))


def _ids(request: Request) -> dict[int, Sequence[int]]:
    return {
        example: ids
        for batch in request.batches
        for example, ids in zip(batch.members, batch.ids, strict=True)
    }


def _sampled(examples: Sequence[int], ids: Mapping[int, Sequence[int]]) -> dict[int, slice]:
    """Return where each of the random texts is, one behind the other."""
    ends = np.cumsum([len(ids[example]) for example in examples]).tolist()
    return {
        example: slice(end - len(ids[example]), end)
        for example, end in zip(examples, ends, strict=True)
    }


def _documents(request: Request) -> Tensor:
    """Return the number of every example's document, from 0 in their order."""
    number: dict[str, int] = {}
    return torch.tensor([number.setdefault(name, len(number)) for name in request.names])
