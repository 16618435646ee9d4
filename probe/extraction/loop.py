"""The loop: every batch through the model, every layer's activations to a consumer."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

from torch import Tensor, nn

from probe.config import InitKind
from probe.distributed import Ranks, spread
from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.examples.share import share
from probe.extraction import memory_estimate as memory
from probe.extraction.accumulator import Accumulator
from probe.extraction.activations import Reader
from probe.extraction.checkpoints import Keeper
from probe.extraction.checks import settle, settle_sinks
from probe.extraction.out_of_memory import Halve, in_halves
from probe.extraction.placement import HOST, Placement
from probe.extraction.token_set import refuse_unequal
from probe.models import (
    fetch_model,
    keep_trunk,
    load_trunk,
    recall_trunk,
    weights_in_memory,
)
from probe.system.logs import plural

logger = logging.getLogger(__name__)
# Called with a batch, its tensors, a layer and its activations, as `activations.Consumer`.
BatchConsumer = Callable[[Batch, Tensors, int, Tensor], None]
# Called with a finished batch and the number of its parts; returns whether to go on.
Done = Callable[[Batch, int], bool]


class Loop:
    """A model on this rank's device, and this rank's share of the batches.

    Parameters
    ----------
    request : Request
        Model, layers, site and batches.
    ranks : Ranks
        This process among the ranks.

    Attributes
    ----------
    devices : list of torch.device
        Devices that the model may use.
    free : int or None
        Their free bytes before the model was loaded.
    request : Request
        What was asked for, in batches that the checks allow.
    checks : Checks or None
        What the run has found of itself before it counts; None without `model.checks`.

    Raises
    ------
    UserError
        If the model cannot be loaded or exceeds the devices' memory.
    """

    def __init__(self, request: Request, ranks: Ranks) -> None:
        self.ranks = ranks
        self._warned = False
        model, init = request.config.model, request.config.init
        if model.device_map is not None and ranks.size > 1:
            raise UserError(
                f"model.device_map=auto spreads one model over all devices, but {ranks.size} "
                "processes were started; start one"
            )
        self.devices = memory.devices(ranks.device, model.device_map is not None)
        trunk = recall_trunk(model, init, ranks.device)
        self.free = memory.free(self.devices)
        if trunk is None:
            memory.refuse_weights(request, self.devices)
            trunk = keep_trunk(partial(_load, request, ranks), model, init, ranks.device)
        else:
            logger.info("the model of the sweep's last job is still in memory")
            if self.free is not None:
                self.free += weights_in_memory(trunk)
        self.reader = Reader(trunk, model, request.layers, request.config.site)
        self.request, self.checks = settle(request, ranks, self.reader)

    def batches(
        self, consume: BatchConsumer, halve: Halve | None = None, done: Done | None = None
    ) -> Iterator[tuple[Batch, Tensors]]:
        """Run the batches one by one and yield each when all its layers are consumed.

        A batch that runs out of memory is read again, and yielded, in parts: `halve` is called
        first, then the consumer gets all layers of each part, also those it has consumed before.
        `done` decides after every batch whether to go on.
        """

        def read(batch: Batch, tensors: Tensors) -> None:
            self.reader.read(tensors, partial(consume, batch, tensors))

        for batch, tensors in share(self.request, self.ranks, self.reader.trunk):
            parts = 0
            for part in in_halves(batch, tensors, read, halve):
                parts += 1
                yield part
            if parts > 1:
                self._warn_of_parts(parts, tensors)
            if done is not None and not done(batch, parts):
                return

    def _warn_of_parts(self, parts: int, tensors: Tensors) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "a batch of %d × %d tokens ran out of memory and was read in %d parts, as others "
                "will be; the matrices are unaffected, a smaller runtime.token_budget is faster",
                *tensors.tokens.shape, parts,
            )  # fmt: skip


def _load(request: Request, ranks: Ranks) -> nn.Module:
    model, init = request.config.model, request.config.init
    trunk = load_trunk(model, init, ranks.device)
    if model.device_map is not None and init.kind is InitKind.random:
        trunk = spread(trunk, ranks.device)
    return trunk


def fetch(payload: bytes) -> None:
    """Download the model that `extract` will load; called once per machine."""
    config = Request.config_of(payload)
    fetch_model(config.model, config.init)


def extract(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Extract the matrices of a request.

    Parameters
    ----------
    payload : bytes
        A packed `Request`.
    ranks : Ranks
        This process among the ranks.

    Returns
    -------
    dict of str to Tensor
        An `Extracted` as tensors on rank 0, nothing on the other ranks.

    Raises
    ------
    UserError
        If the model cannot be loaded, an activation is not finite, or a matrix is of layers that
        have not the same number of neurons.
    """
    loop = Loop(Request.from_bytes(payload), ranks)
    one_token = loop.reader.one_token()
    neurons = {layer: x.shape[-1] for layer, x in one_token.items()}
    refuse_unequal(loop.request.matrices, neurons)
    request, sinks = settle_sinks(loop.request, ranks, loop.reader)
    sizes = " or ".join(map(str, dict.fromkeys(neurons.values())))
    needs = memory.estimate(loop.reader.trunk, request, neurons)
    memory.log_needs(needs, loop.devices, loop.free)
    memory.refuse_sums(needs, loop.devices)
    place = Placement({layer: x.device for layer, x in one_token.items()}, needs.batch)
    # MPS has no float64.
    device = ranks.device if ranks.device.type != "mps" else HOST
    accumulator = Accumulator(request, neurons, device, place)
    loop.reader.before_norm = accumulator.before_norm
    place.log_on_host()
    logger.info(
        "%s on %s; %s neurons per layer, %s",
        ranks.device, plural(ranks.size, "rank"), sizes, plural(len(request.matrices), "matrix"),
    )  # fmt: skip
    if accumulator.pairs.sums:
        memory.log_pair_sums(request, accumulator.pairs, ranks.device)
    with Keeper(request, ranks, accumulator) as keeper:
        for _ in loop.batches(accumulator.consume, accumulator.halve, keeper.note):
            continue
        keeper.wait()
    for state in ranks.collect(accumulator.state()):
        accumulator.merge(state)
    if not ranks.main:
        return {}
    checks = None if loop.checks is None else asdict(loop.checks)
    return replace(accumulator.finish(), checks=checks, sinks=sinks).to_tensors()
