"""The one loop: every batch through the model, every layer's activations to a consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from probe.activations import Reader
from probe.batches import Batch, Tensors
from probe.correlation import matrices_kept
from probe.distributed import Ranks
from probe.models import load_tokenizer, load_trunk, text_config
from probe.progress import Progress
from probe.request import Request
from probe.totals import Totals

logger = logging.getLogger(__name__)
# Called with a batch, its tensors, a layer and its activations, as `activations.Consumer`.
BatchConsumer = Callable[[Batch, Tensors, int, Tensor], None]


class Loop:
    """A model on this rank's device, and this rank's share of the batches.

    Parameters
    ----------
    request : Request
        Model, layers, site and batches.
    ranks : Ranks
        This process among the ranks.
    """

    def __init__(self, request: Request, ranks: Ranks) -> None:
        self.request, self.ranks = request, ranks
        self.model = request.config.model
        # Full float32 products, whatever the process was set to before.
        torch.set_float32_matmul_precision("highest")
        trunk = load_trunk(self.model, request.config.init, ranks.device)
        self.reader = Reader(trunk, self.model, request.layers, request.config.site)
        pad = load_tokenizer(self.model).pad_token_id
        # Padding is masked, but a token that was added to the tokenizer alone has no embedding.
        self.pad = pad if pad is not None and pad < text_config(trunk).vocab_size else 0

    def batches(self, consume: BatchConsumer) -> Iterator[tuple[Batch, Tensors]]:
        """Forward the batches one by one, yielding each when all its layers are consumed."""
        skip, shown = self.request.config.data.skip_first, self.ranks.main
        with Progress(self.request.n_examples, shown) as progress:
            for batch in self.request.batches[self.ranks.index :: self.ranks.size]:
                padded = batch.tensors(self.pad, self.model.padding_side, skip)
                tensors = padded.to(self.ranks.device)
                self.reader.read(tensors, partial(consume, batch, tensors))
                yield batch, tensors
                done = self.ranks.count(len(batch.members), self.request.run)
                progress.update(done, int(padded.attended.sum()))


def extract(payload: bytes, ranks: Ranks) -> dict[str, Tensor]:
    """Extract the topologies that a request asks for.

    Parameters
    ----------
    payload : bytes
        A packed `Request`.
    ranks : Ranks
        This process among the ranks.

    Returns
    -------
    dict of str to Tensor
        On rank 0 for each group and part `name/part/matrix` (float64), `…/undefined` and perhaps
        `…/standard_error`, further `examples`, `tokens` (int64) and at site residual `first_token`
        (the first token's norm over the median, a number a layer); nothing on the other ranks.

    Raises
    ------
    UserError
        If the model cannot be loaded or an activation is not finite.
    """
    request = Request.from_bytes(payload)
    loop = Loop(request, ranks)
    # MPS has no float64.
    device = ranks.device if ranks.device.type != "mps" else torch.device("cpu")
    neurons, average = loop.reader.n_neurons(), request.config.average
    matrices = len(request.groups) * average.parts
    kept = matrices * matrices_kept(
        average.scheme.value, average.std, len(request.layers) // len(request.groups)
    )
    logger.info(
        "%s on %d rank%s; %d neurons a layer, %d matri%s, %.1f MB of sums a rank",
        ranks.device, ranks.size, "s" if ranks.size > 1 else "", neurons, matrices,
        "ces" if matrices > 1 else "x", kept * neurons**2 * 8 / 1e6,
    )  # fmt: skip
    totals = Totals(request, neurons, device)
    for _ in loop.batches(totals.consume):
        continue
    for state in ranks.collect(totals.state()):
        totals.merge(state)
    return totals.finish() if ranks.main else {}
