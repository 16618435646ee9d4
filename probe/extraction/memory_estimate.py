"""What a run will need of memory, reported before it starts; what cannot fit is refused."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from probe.config import Selection
from probe.correlation import BatchShape
from probe.errors import UserError
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator
from probe.extraction.placement import HOST, HOSTED
from probe.extraction.sums import META, PairSums
from probe.models import text_config, weights_bytes, weights_in_memory
from probe.system.device_memory import format_bytes, free_memory, total_memory

logger = logging.getLogger(__name__)
# Numbers kept of a token at the peak of a block: hidden states (the residual stream, its norm,
# queries, keys, values, what they become) and the MLP's inner ones (gate, up, their product).
_HIDDEN, _INNER = 8, 3
_INNER_SIZES = ("intermediate_size", "n_inner", "ffn_dim")


@dataclass(frozen=True)
class Needs:
    """Bytes that a rank will need.

    Attributes
    ----------
    weights : int
        Of the model.
    batch : int
        Of the batch that needs most: the model's activations, and what is summed from them.
    sums : int
        Of all sums, if no neuron is constant in some examples.
    """

    weights: int
    batch: int
    sums: int


def estimate(trunk: nn.Module, request: Request, n_neurons: int | Mapping[int, int]) -> Needs:
    """Estimate what an extraction will need.

    Sums are asked, on the `meta` device, for their bytes and for what batches make of them. The
    model needs `T (8 h + 3 m) b` bytes in a block for a batch of `T` padded tokens, with `h` hidden
    and `m` inner neurons of `b` bytes; attention that forms its scores (`eager`) needs another
    `heads · rows · length² (b + 4)`.
    """
    sums = Accumulator(request, n_neurons, META)
    tensors = [*trunk.parameters(), *trunk.buffers()]
    batch = run = 0
    for shape, cell in _shapes(request, tensors[0].device):
        most = sums.most_bytes(shape, cell)
        run = max(run, most.run)
        batch = max(batch, _activations(trunk, shape) + most.batch + most.update)
    return Needs(weights_in_memory(trunk), batch, sums.nbytes + run)


def _shapes(request: Request, device: torch.device) -> list[tuple[BatchShape, int]]:
    """Return the shape and cell of the longest batch of every number of examples."""
    device = HOST if device.type in HOSTED else device
    longest: dict[tuple[int, int], int] = {}
    for batch in request.batches:
        key = len(batch.ids), batch.cell
        longest[key] = max(longest.get(key, 0), *map(len, batch.ids))
    return [(BatchShape(rows, length, device), cell) for (rows, cell), length in longest.items()]


def _activations(trunk: nn.Module, batch: BatchShape) -> int:
    """Return the bytes of the model's activations at the peak of a block."""
    text = text_config(trunk)
    tensors = [*trunk.parameters(), *trunk.buffers()]
    width = next(tensor for tensor in tensors if tensor.is_floating_point()).element_size()
    hidden: int = text.hidden_size
    sizes = (getattr(text, name, None) for name in _INNER_SIZES)
    inner = next(filter(None, sizes), 4 * hidden)
    inner = inner if isinstance(inner, int) else max(inner)  # Gemma 3n has one for every layer
    block = batch.tokens * (_HIDDEN * hidden + _INNER * inner) * width
    if getattr(text, "_attn_implementation", None) != "eager":
        return block
    heads: int = getattr(text, "num_attention_heads", 0)
    return block + heads * batch.tokens * batch.length * (width + 4)


def refuse_weights(request: Request, devices: Sequence[torch.device]) -> None:
    """Refuse a model whose weights alone exceed the devices' memory, before they are loaded.

    Raises
    ------
    UserError
        If they do.
    """
    model, total = request.config.model, _total(devices)
    weights = weights_bytes(model, request.config.init)
    if total is not None and weights > total:
        spread = model.device_map is None and devices[0].type != "cpu"
        raise UserError(
            f"the weights need {format_bytes(weights)} in {model.dtype.value}, but "
            f"{_have(devices)} {format_bytes(total)}; use model.dtype=bfloat16, "
            f"{'model.device_map=auto ' if spread else ''}or a smaller model"
        )


def refuse_sums(needs: Needs, devices: Sequence[torch.device]) -> None:
    """Refuse sums that alone exceed all memory, the host's included.

    Raises
    ------
    UserError
        If they do.
    """
    devices = [*dict.fromkeys([*devices, HOST])]
    total = _total(devices)
    if total is not None and needs.sums > total:
        raise UserError(
            f"the sums need {format_bytes(needs.sums)}, but {_have(devices)} "
            f"{format_bytes(total)}; use fewer layers, null.shifts=0, average.halves=false, "
            "average.std=false or fewer average.parts"
        )


def log_needs(needs: Needs, devices: Sequence[torch.device], free: int | None) -> None:
    """Report what will be needed, against what was free before the model was loaded."""
    logger.info(
        "memory: weights %s, a batch about %s, sums %s%s",
        format_bytes(needs.weights), format_bytes(needs.batch), format_bytes(needs.sums),
        "" if free is None else f"; {_names(devices)} had {format_bytes(free)} free",
    )  # fmt: skip
    if free is not None and needs.weights + needs.batch + needs.sums > free:
        logger.warning(
            "this may not fit in memory; a smaller runtime.token_budget, model.dtype=bfloat16 or "
            "fewer layers need less"
        )


def log_pair_sums(request: Request, pairs: PairSums, device: torch.device) -> None:
    """Report what the sums between layers are made of."""
    shape, cell = max(_shapes(request, device), key=lambda shape: shape[0].tokens)
    logger.info(
        "sums between layers: %d blocks × %d² × 8 bytes = %s (up to twice that if neurons are "
        "constant in some examples) and, for a batch of %d tokens, %s of series of all %d layers",
        len(pairs.sums), pairs.n_neurons, format_bytes(pairs.nbytes),
        shape.tokens, format_bytes(pairs.most_bytes(shape, cell).batch), len(pairs.layers),
    )  # fmt: skip
    if request.config.layers.selection is Selection.cross and not request.config.average.halves:
        logger.info("halves are not compared; average.halves=true does so, with twice the sums")


def devices(device: torch.device, spread: bool) -> list[torch.device]:
    """Return the devices a model may take: its own or, spread, every GPU and the host."""
    if not spread or device.type in HOSTED:
        return [device]
    return [*(torch.device("cuda", i) for i in range(torch.cuda.device_count())), HOST]


def free(devices: Sequence[torch.device]) -> int | None:
    """Return the unused memory of all the devices, in bytes."""
    return _sum([free_memory(device) for device in devices])


def _total(devices: Sequence[torch.device]) -> int | None:
    return _sum([total_memory(device) for device in devices])


def _sum(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else sum(size or 0 for size in sizes)


def _names(devices: Sequence[torch.device]) -> str:
    return " and ".join(str(device) for device in devices)


def _have(devices: Sequence[torch.device]) -> str:
    return f"{_names(devices)} {'have' if len(devices) > 1 else 'has'}"
