"""Whether one token of each text makes most of a topology: estimated before anything counts."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from probe.config import Coefficient, Sinks
from probe.correlation import MeanSums, rank
from probe.distributed import Ranks
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.examples.share import padding_token
from probe.examples.sinks import with_sinks
from probe.extraction.activations import Reader
from probe.extraction.checked import SINKS
from probe.extraction.out_of_memory import in_halves
from probe.extraction.placement import HOST
from probe.extraction.token_norms import over_median, strongest, token_norms
from probe.extraction.token_set import SHARED, neurons_of
from probe.topology.sinks import decided_by

logger = logging.getLogger(__name__)
# The first texts: at most so many, and besides the first none beyond so many tokens.
_TEXTS, _TOKENS = 4, 1024


def settle_sinks(request: Request, ranks: Ranks, reader: Reader) -> tuple[Request, dict[str, Any]]:
    """Decide what becomes of sinks, once for all ranks and sessions.

    Returns
    -------
    Request
        With the matrices that follow.
    dict
        What was asked and what was decided, and the shares that it was decided by, as the manifest
        has it.
    """
    asked, before = request.config.data.sinks, request.checkpoints
    if asked is not Sinks.auto or any(matrix.pairs for matrix in request.matrices):
        decided = Sinks.keep if asked is Sinks.auto else asked
        word = json.dumps({"asked": asked, "decided": decided})
    elif before is not None and before.files:
        word = before.of[SINKS]
    else:
        word = ranks.decide(f"{request.run}/sinks", lambda: json.dumps(_decide(request, reader)))
    if before is not None:
        request = replace(request, checkpoints=replace(before, of=before.of | {SINKS: word}))
    sinks: dict[str, Any] = json.loads(word)
    if sinks["decided"] == Sinks.both:
        logger.info(
            "the topologies without sinks take as much memory of sums, and as much time to "
            "correlate, as those with them; the model reads the texts once"
        )
    matrices = with_sinks(request.matrices, Sinks(sinks["decided"]))
    return replace(request, matrices=matrices), sinks


def _decide(request: Request, reader: Reader) -> dict[str, Any]:
    shares = first_shares(request, reader)
    decided = decided_by(shares)
    if decided is Sinks.both:
        name, most = max(shares.items(), key=lambda item: item[1])
        logger.info(
            "one token of each of the first texts makes %.0f %% of %s, so that topologies without "
            "tokens of more than %g times the median norm stand beside; data.sinks=keep is without "
            "these", 100 * most, name, request.config.data.drop_norm,
        )  # fmt: skip
    return {"asked": Sinks.auto, "decided": decided, "shares": shares}


def first_shares(request: Request, reader: Reader) -> dict[str, float]:
    """Return the share of the strongest token of each of the first texts, by matrix."""
    shares = _Shares(request)
    torch.set_float32_matmul_precision("highest")  # whatever the process's setting
    reader.before_norm = shares.before_norm
    try:
        for batch, tensors in _first_texts(request, reader):
            list(
                in_halves(batch, tensors, lambda _, one: reader.read(one, partial(shares.add, one)))
            )
    finally:
        reader.before_norm = None
        reader.state.restore()
    return shares.by_matrix()


class _Shares:
    """Sums over a sample of neurons, for every set of layers that is averaged over."""

    def __init__(self, request: Request) -> None:
        self._names: dict[tuple[int, ...], str] = {}
        for matrix in request.matrices:
            self._names.setdefault(tuple(matrix.layers), matrix.name)
        self._ranked = request.config.average.correlation is Coefficient.spearman
        self._last = request.layers[-1]
        self._raw: Tensor | None = None
        self._sums: dict[tuple[int, ...], MeanSums] = {}

    def before_norm(self, activations: Tensor) -> None:
        """Take the last layer's norms before the final norm."""
        self._raw = token_norms(activations)

    def add(self, tensors: Tensors, layer: int, activations: Tensor) -> None:
        """Add one layer of a text."""
        x = activations.to(HOST) if activations.device.type == "mps" else activations
        raw = self._raw if layer == self._last else None
        norms, keep = token_norms(x) if raw is None else raw.to(x.device), tensors.keep.to(x.device)
        largest = strongest(over_median(norms, keep), keep)
        x = x[..., neurons_of(x.shape[-1], SHARED).to(x.device)]
        x = rank(x, keep) if self._ranked else x
        weight = torch.ones(len(x), dtype=torch.float64)
        for layers in self._names:
            if layer in layers:
                if layers not in self._sums:
                    every = torch.arange(x.shape[-1])
                    self._sums[layers] = MeanSums(x.shape[-1], x.device, sample=every)
                self._sums[layers].update(x, keep, weight, strongest=largest)

    def by_matrix(self) -> dict[str, float]:
        """Return the shares that are defined, by the first matrix of each set of layers."""
        finished = {self._names[of]: sums.finish() for of, sums in self._sums.items()}
        shares = {name: one.strongest_share or 0.0 for name, one in finished.items()}
        return {name: round(share, 4) for name, share in shares.items() if isfinite(share)}


def _first_texts(request: Request, reader: Reader) -> Iterator[tuple[Batch, Tensors]]:
    """Yield the first texts, whole, each as a batch of its own."""
    config, tokens = request.config, 0
    rows = [
        (member, batch, row)
        for batch in request.batches
        for row, member in enumerate(batch.members)
    ]
    pad = padding_token(config.model, reader.trunk)
    for _, batch, row in sorted(rows, key=lambda one: one[0])[:_TEXTS]:
        text = batch.pick([row])
        tokens += text.padded_tokens
        if tokens > max(_TOKENS, text.padded_tokens):
            return
        tensors = text.tensors(pad, config.model.padding_side, config.data.skip_first)
        yield text, tensors.to(reader.device)
