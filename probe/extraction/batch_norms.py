"""The norms of one batch's tokens in every layer, and what follows from them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from probe.correlation import BatchShape, MostBytes
from probe.examples.batches import Batch, Tensors
from probe.examples.request import Request
from probe.extraction.kept_tokens import KeptTokens
from probe.extraction.out_of_memory import Journal
from probe.extraction.token_norms import (
    TokenNorms,
    over_median,
    strongest,
    token_norms,
    without_outliers,
)
from probe.extraction.token_set import Series


class BatchNorms:
    """Takes the norms of each layer once, and counts them when a batch is whole.

    Parameters
    ----------
    request : Request
        What is summed.
    journal : Journal
        Finished steps of the current batch; carries its norms from layer to layer.

    Attributes
    ----------
    norms : TokenNorms
        What the norms were over all texts.
    kept : KeptTokens or None
        What is left of the texts, if any matrix drops outliers.
    """

    def __init__(self, request: Request, journal: Journal) -> None:
        self._request, self._journal = request, journal
        # As float32 numbers are compared with it.
        self._above = float(np.float32(request.config.data.drop_norm))
        self.norms = TokenNorms(request.layers, self._above)
        self.kept = None
        if any(matrix.drops for matrix in request.matrices):
            cells = 1 + max(cell for matrix in request.matrices for cell in matrix.cells)
            self.kept = KeptTokens(request.layers, cells, self._above)
        self._before_norm: Tensor | None = None

    def before_norm(self, activations: Tensor) -> None:
        """Take the last layer's residual before the final norm, whose norms say more."""
        self._before_norm = token_norms(activations)

    def forget(self) -> None:
        """Drop what was taken before the final norm: the batch is done, or read again."""
        self._before_norm = None

    def ratios(self, layer: int, activations: Tensor, keep: Tensor) -> Tensor:
        """Return the norms over their median, once for a batch: halves must drop the same."""
        carry = self._journal.carry.setdefault(("norms", layer), {})
        if not carry:
            norms = self._before_norm if layer == self._request.layers[-1] else None
            norms = token_norms(activations) if norms is None else norms.to(keep.device)
            carry["ratios"] = over_median(norms, keep)
        return carry["ratios"]

    def without_outliers(self, series: Series, ratios: Tensor) -> Series:
        """Return what is left of a series; texts of which too little is left have no weight."""
        keep, left = without_outliers(ratios, series.keep, self._above)
        # Only shifts, which cost as much as another run, wait for what is left on a GPU.
        shifts = self._request.config.null.shifts
        tokens = keep.sum(dim=1).clamp(min=2).cpu() if shifts else series.tokens
        weight = series.weight.to(left.device) * left
        largest = strongest(ratios, keep)
        return replace(series, keep=keep, tokens=tokens, weight=weight, strongest=largest)

    def count(self, batch: Batch, tensors: Tensors, tokens: Tensor, weight: Tensor) -> None:
        """Count a batch all layers of which have been read."""
        carry, journal = self._journal.carry, self._journal
        by_layer = [carry["norms", layer]["ratios"] for layer in self._request.layers]
        # In one transfer, unless the model is spread over several devices.
        first = by_layer[0].device
        ratios = torch.stack([one.to(first) for one in by_layer]).cpu().numpy()
        if journal.todo("norms"):
            self.norms.update(ratios, tensors.to(torch.device("cpu")))
            journal.note("norms")
        if self.kept is not None and journal.todo("kept"):
            self.kept.update(ratios, tokens, weight, batch.cell)
            journal.note("kept")
        self.forget()

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that a batch takes: its ratios, in every layer."""
        return MostBytes(batch=4 * batch.tokens * len(self._request.layers))

    def state(self) -> dict[str, Tensor]:
        """Return what was counted by name."""
        return self.norms.state() | ({} if self.kept is None else self.kept.state())

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of other texts."""
        self.norms.merge(state)
        if self.kept is not None:
            self.kept.merge(state)
