"""What a run will need of memory, said before it starts; what cannot fit is refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from probe.config import Scheme, Selection
from probe.correlation import held_bytes, pair_bytes, sums_bytes
from probe.errors import UserError
from probe.examples.request import Request
from probe.extraction.accumulator import SAMPLE
from probe.models import text_config, weights_bytes
from probe.system.device_memory import format_bytes, free_memory, total_memory

logger = logging.getLogger(__name__)
HOST = torch.device("cpu")
# Numbers kept of a token at the peak of a block: hidden states (the residual stream, its norm,
# queries, keys, values, what they become) and the MLP's inner ones (gate, up, their product).
_HIDDEN, _INNER = 8, 3
_INNER_SIZES = ("intermediate_size", "n_inner", "ffn_dim")
# MPS has no float64, and the host's memory.
_HOSTED = ("cpu", "mps")


@dataclass(frozen=True)
class Needs:
    """Bytes that a rank will need.

    Attributes
    ----------
    weights, batch, sums : int
        Of the model, of the largest batch's activations, and of all sums.
    """

    weights: int
    batch: int
    sums: int


def estimate(trunk: nn.Module, request: Request, n_neurons: int) -> Needs:
    """Estimate what an extraction will need.

    A batch of `T` padded tokens needs `T (8 h + 3 m) b` bytes in a block, with `h` hidden and `m`
    inner neurons of `b` bytes, and `16 T n + 20 n²` for the series of the `n` neurons that are read
    and the product added to the sums. Attention that forms its scores (`eager`) takes another
    `heads · rows · length² (b + 4)`, standard errors over several layers `16 n²` an example, and
    sums between layers keep the series of all of them, `4 T n` (`8 T n` for Fisher's z) each.
    """
    text = text_config(trunk)
    tensors = [*trunk.parameters(), *trunk.buffers()]
    width = next(tensor for tensor in tensors if tensor.is_floating_point()).element_size()
    hidden = text.hidden_size
    inner = next((size for name in _INNER_SIZES if (size := getattr(text, name, None))), 4 * hidden)
    eager = getattr(text, "_attn_implementation", None) == "eager"
    several = any(len(matrix.layers) > 1 for matrix in request.matrices)
    kept = 16 * n_neurons**2 if request.config.average.std and several else 0
    batch = 0
    for rows, length in {(len(b.ids), max(map(len, b.ids))) for b in request.batches}:
        size = rows * length * ((_HIDDEN * hidden + _INNER * inner) * width + 16 * n_neurons)
        size += rows * kept + _series(request, rows * length, n_neurons, tensors[0].device)
        if eager:
            size += getattr(text, "num_attention_heads", 0) * rows * length**2 * (width + 4)
        batch = max(batch, size)
    return Needs(
        weights=sum(tensor.nbytes for tensor in tensors),
        batch=batch + 20 * n_neurons**2,
        sums=_all_sums(request, n_neurons),
    )


def _joined(request: Request) -> set[int]:
    """Return the layers that are correlated with others."""
    return {layer for matrix in request.matrices for pair in matrix.pairs for layer in pair}


def _pairs(request: Request) -> set[tuple[tuple[int, int], int]]:
    """Return the pairs of layers, each with a cell, that have sums of their own."""
    return {(pair, cell) for m in request.matrices for pair in m.pairs for cell in m.cells}


def _series(request: Request, n_tokens: int, n_neurons: int, device: torch.device) -> int:
    """Return what the series of a batch of all layers take that are correlated with others."""
    fisher = request.config.average.scheme is Scheme.fisher
    return len(_joined(request)) * held_bytes(n_tokens, n_neurons, fisher, device)


def _all_sums(request: Request, n_neurons: int) -> int:
    """Add up the sums of every scheme, set of layers and cell, of their nulls and samples."""
    average, nulls = request.config.average, request.config.null.shifts
    alone = [matrix for matrix in request.matrices if not matrix.pairs]
    keys = {(m.scheme, tuple(m.layers), cell) for m in alone for cell in m.cells}
    sampled = {(s, layer, cell) for s, layers, cell in keys if len(layers) > 1 for layer in layers}
    return (
        len(_pairs(request)) * pair_bytes(n_neurons)
        + sum(
            sums_bytes(scheme, average.std, n_neurons, len(layers))
            + nulls * sums_bytes(scheme, False, n_neurons, len(layers))
            for scheme, layers, _ in keys
        )
        + sum(sums_bytes(scheme, False, min(n_neurons, SAMPLE), 1) for scheme, _, _ in sampled)
    )


def refuse_weights(request: Request, devices: Sequence[torch.device]) -> None:
    """Refuse a model whose weights alone are larger than the memory that there is.

    Raises
    ------
    UserError
        If they are, before they are loaded.
    """
    model, there_is = request.config.model, _total(devices)
    needed = weights_bytes(model)
    if there_is is not None and needed > there_is:
        spread = model.device_map is None and devices[0].type != "cpu"
        raise UserError(
            f"the weights take {format_bytes(needed)} in {model.dtype.value} and "
            f"{_names(devices)} has {format_bytes(there_is)}; take model.dtype=bfloat16, "
            f"{'model.device_map=auto ' if spread else ''}or a smaller model"
        )


def refuse_sums(needs: Needs, devices: Sequence[torch.device]) -> None:
    """Refuse sums that are alone larger than all the memory that there is, the host's too.

    Raises
    ------
    UserError
        If they are.
    """
    devices = [*dict.fromkeys([*devices, HOST])]
    there_is = _total(devices)
    if there_is is not None and needs.sums > there_is:
        raise UserError(
            f"the sums take {format_bytes(needs.sums)} and {_names(devices)} has "
            f"{format_bytes(there_is)}; take fewer layers, null.shifts=0, average.halves=false, "
            "average.std=false or fewer average.parts"
        )


def tell(needs: Needs, devices: Sequence[torch.device], free: int | None) -> None:
    """Say what will be needed beside what was free before the model was loaded."""
    logger.info(
        "memory: weights %s, a batch about %s, sums %s%s",
        format_bytes(needs.weights), format_bytes(needs.batch), format_bytes(needs.sums),
        "" if free is None else f"; {_names(devices)} had {format_bytes(free)} free",
    )  # fmt: skip
    if free is not None and needs.weights + needs.batch + needs.sums > free:
        logger.warning(
            "that may be more than there is; a smaller runtime.token_budget, model.dtype=bfloat16 "
            "or fewer layers take less"
        )


def tell_of_pairs(request: Request, n_neurons: int, device: torch.device) -> None:
    """Say of what the sums between layers are made up."""
    tokens = max(len(batch.ids) * max(map(len, batch.ids)) for batch in request.batches)
    blocks = len(_pairs(request))
    logger.info(
        "sums between layers: %d blocks × %d² × 8 bytes = %s (up to twice that if neurons are "
        "constant in some examples) and %s of series of a batch of %d tokens, all %d layers",
        blocks, n_neurons, format_bytes(blocks * pair_bytes(n_neurons)),
        format_bytes(_series(request, tokens, n_neurons, device)), tokens, len(_joined(request)),
    )  # fmt: skip
    if request.config.layers.selection is Selection.cross and not request.config.average.halves:
        logger.info("halves are not compared; average.halves=true does it, with twice the sums")


def devices(device: torch.device, spread: bool) -> list[torch.device]:
    """Return the devices a model may take: its own or, spread, every GPU and the host."""
    if not spread or device.type in _HOSTED:
        return [device]
    return [*(torch.device("cuda", i) for i in range(torch.cuda.device_count())), HOST]


def free(devices: Sequence[torch.device]) -> int | None:
    """Memory of all the devices that nobody uses."""
    return _sum([free_memory(device) for device in devices])


def _total(devices: Sequence[torch.device]) -> int | None:
    return _sum([total_memory(device) for device in devices])


def _sum(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _names(devices: Sequence[torch.device]) -> str:
    return " and ".join(str(device) for device in devices)


class Placement:
    """Chooses for sums the device of their first layer or, where they do not fit, the host.

    Parameters
    ----------
    devices : mapping of int to torch.device
        Where every layer's activations are.
    batch : int
        Bytes that the largest batch needs on each of them, beside what is in use already.

    Attributes
    ----------
    on_host : int
        Bytes of sums that had no room on their own device.

    Examples
    --------
    >>> place = Placement({0: HOST, 1: HOST}, batch=100)
    >>> place([0], 60)
    device(type='cpu')
    """

    def __init__(self, devices: Mapping[int, torch.device], batch: int) -> None:
        self._devices, self.on_host = devices, 0
        self._left = {
            device: (free_memory(device) or 0) - batch
            for device in set(devices.values())
            if device.type not in _HOSTED
        }

    def __call__(self, layers: Sequence[int], size: int) -> torch.device:
        """Return where the sums of some layers are to live, given their bytes."""
        device = self._devices[layers[0]]
        if device.type in _HOSTED:
            return HOST
        if size > self._left[device]:
            self.on_host += size
            return HOST
        self._left[device] -= size
        return device

    def tell(self) -> None:
        """Say which sums do not live with their layers."""
        if self.on_host:
            logger.info("%s of sums do not fit beside the model and live in host memory",
                        format_bytes(self.on_host))  # fmt: skip
