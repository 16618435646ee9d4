"""Write the series of a rank's share of the examples."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.extraction.checkpoints.interruption import Interruption
from probe.extraction.loop import Loop
from probe.extraction.loop import fetch as fetch_request
from probe.series.factor import pack
from probe.series.shards import ShardWriter
from probe.system.files import report_full_disk
from probe.system.logs import plural

logger = logging.getLogger(__name__)


def fetch(payload: bytes) -> None:
    """Download the model that `write` will load; called once per machine."""
    fetch_request(payload.partition(b"\0")[2])


def write(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Write this rank's share of the series.

    Parameters
    ----------
    payload : bytes
        What to write as JSON, a zero byte and a packed `Request`.
    ranks : Ranks
        This process among the ranks.

    Returns
    -------
    dict
        Nothing: what was written is in the shards.

    Raises
    ------
    UserError
        If the model cannot be loaded, an activation is not finite, or the disk is too small.
    """
    order, _, packed = payload.partition(b"\0")
    to = json.loads(order)
    request, place = Request.from_bytes(packed), Path(to["folder"])
    dtype = getattr(torch, to["dtype"])
    loop = Loop(request, ranks)
    if ranks.main:
        units = sum(x.shape[-1] for x in loop.reader.one_token().values())
        _refuse_disk(request, units * dtype.itemsize, place, to["mean"])
    writer = ShardWriter(place, to["of"], request.config.runtime.checkpoint_minutes)
    held: dict[int, Tensor] = {}

    def consume(batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        if activations.device.type == "mps":  # standardising needs float64
            activations = activations.cpu()
        keep = tensors.keep.to(activations.device)
        if to["standardised"]:
            held[layer], finite = pack(activations, keep, dtype)
        elif to["mean"]:
            held[layer] = _mean(activations, keep).to(dtype)
            finite = held[layer].isfinite().all(dim=(1, 2))
        else:
            held[layer] = activations.to(dtype, copy=True)
            finite = (held[layer].isfinite() | ~keep[..., None]).all(dim=(1, 2))
        for row in (~finite).nonzero()[:1].flatten().tolist():
            if activations[row][keep[row]].isfinite().all():
                raise UserError(
                    f"example {batch.members[row]} ({request.names[batch.members[row]]}) has an "
                    f"activation too large for {to['dtype']} in layer {layer}; use bfloat16 or "
                    "float32"
                )
            raise request.not_finite(batch.members[row], layer)

    with Interruption() as interruption, report_full_disk(place):

        def done(_: Batch, __: int) -> bool:
            writer.end_batch()
            return interruption.received is None

        for batch, tensors in loop.batches(consume, done=done):
            for row, member in enumerate(batch.members):
                keep = tensors.keep[row]
                layers = {
                    layer: _array(x[row] if to["mean"] else x[row][keep.to(x.device)])
                    for layer, x in held.items()
                }
                writer.add(member, tensors.tokens[row][keep].cpu().numpy(), layers)
            held.clear()
        writer.flush()
        ranks.meet(request.run, lambda: interruption.received is None)
    return {}


def _array(series: Tensor) -> Any:
    series = series.cpu()
    return (series.view(torch.uint16) if series.dtype == torch.bfloat16 else series).numpy()


def _mean(activations: Tensor, keep: Tensor) -> Tensor:
    """Return the means over the tokens that count, float64 (n_examples, 1, n_neurons)."""
    keep = keep[..., None]
    total = activations.where(keep, 0).sum(dim=1, keepdim=True, dtype=torch.float64)
    return total / keep.sum(dim=1, keepdim=True)


def _refuse_disk(request: Request, bytes_per_row: int, place: Path, mean: bool) -> None:
    skipped = request.config.data.skip_first
    tokens = sum(n for batch in request.batches for n in batch.n_counted(skipped))
    rows = request.n_examples if mean else tokens
    needed, free = rows * bytes_per_row, shutil.disk_usage(place).free
    logger.info(
        "series of %s in %s: %.3g GB in %s",
        plural(request.n_examples, "example"), plural(len(request.layers), "layer"),
        needed / 1e9, place,
    )  # fmt: skip
    if needed > free:
        raise UserError(
            f"the series need {needed / 1e9:.3g} GB, but {place} has {free / 1e9:.3g} GB free; "
            "use fewer layers, a smaller data.limit, or another folder"
        )
