"""The one loop: every batch through the model, every layer's activations to a consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from probe.activations import Reader
from probe.batches import Batch, Tensors, deal
from probe.config import Selection
from probe.distributed import Ranks
from probe.models import fetch_model, load_tokenizer, load_trunk, text_config
from probe.pair_sums import PairSums
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
        model = request.config.model
        trunk = load_trunk(model, request.config.init, ranks.device)
        self.reader = Reader(trunk, model, request.layers, request.config.site)

    def batches(self, consume: BatchConsumer) -> Iterator[tuple[Batch, Tensors]]:
        """Forward the batches one by one, yielding each when all its layers are consumed."""
        for batch, tensors in share(self.request, self.ranks, self.reader.trunk):
            self.reader.read(tensors, partial(consume, batch, tensors))
            yield batch, tensors


def share(request: Request, ranks: Ranks, module: nn.Module) -> Iterator[tuple[Batch, Tensors]]:
    """Yield this rank's batches on its device, telling how far all ranks are."""
    # Full float32 products, whatever the process was set to before.
    torch.set_float32_matmul_precision("highest")
    model = request.config.model
    pad = load_tokenizer(model).pad_token_id
    # Padding is masked, but a token that was added to the tokenizer alone has no embedding.
    pad = pad if pad is not None and pad < text_config(module).vocab_size else 0
    with Progress(request.n_examples, ranks.main) as progress:
        for batch in deal(request.batches, ranks.size)[ranks.index]:
            padded = batch.tensors(pad, model.padding_side, request.config.data.skip_first)
            yield batch, padded.to(ranks.device)
            tokens = sum(map(len, batch.ids))
            progress.update(*ranks.count(len(batch.members), tokens, request.run))


def fetch(payload: bytes) -> None:
    """Fetch the model that `extract` is going to load; called once on every machine."""
    config = Request.config_of(payload)
    fetch_model(config.model, config.init)


def _tell_of_pairs(request: Request, pairs: PairSums, device: torch.device) -> None:
    """Say what the sums between layers will take at most."""
    tokens = max(len(batch.ids) * max(map(len, batch.ids)) for batch in request.batches)
    blocks, n = len(pairs.sums), pairs.n_neurons
    logger.info(
        "sums between layers: %d blocks × %d² × 8 bytes = %.1f MB (up to twice that if neurons are "
        "constant in some examples) and %.1f MB of series of a batch of %d tokens, all %d layers",
        blocks, n, blocks * n**2 * 8 / 1e6,
        pairs.held_bytes(tokens, device) / 1e6, tokens, len(pairs.layers),
    )  # fmt: skip
    if request.config.layers.selection is Selection.cross and not request.config.average.halves:
        logger.info("halves are not compared; average.halves=true does it, with twice the sums")


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
        On rank 0 for each wanted matrix `name/matrix` (float32), `…/undefined`, perhaps
        `…/standard_error`, its two halves (`…/half0`, `…/undefined0`, …), its nulls
        (`…/null0`, …) and each layer's correlation with it (`…/agreement`); further `examples`,
        `tokens` (int64) and at site residual `first_token` (the first token's norm over the
        median, a number a layer); nothing on the other ranks.

    Raises
    ------
    UserError
        If the model cannot be loaded or an activation is not finite.
    """
    request = Request.from_bytes(payload)
    loop = Loop(request, ranks)
    # MPS has no float64.
    device = ranks.device if ranks.device.type != "mps" else torch.device("cpu")
    neurons = loop.reader.n_neurons()
    totals = Totals(request, neurons, device)
    size = sum(tensor.nbytes for tensor in totals.state().values())
    logger.info(
        "%s on %d rank%s; %d neurons a layer, %d matri%s, %.1f MB of sums a rank",
        ranks.device, ranks.size, "s" if ranks.size > 1 else "", neurons, len(request.wanted),
        "ces" if len(request.wanted) > 1 else "x", size / 1e6,
    )  # fmt: skip
    if totals.pairs.sums:
        _tell_of_pairs(request, totals.pairs, ranks.device)
    for _ in loop.batches(totals.consume):
        continue
    for state in ranks.collect(totals.state()):
        totals.merge(state)
    return totals.finish() if ranks.main else {}
