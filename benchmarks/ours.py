"""Our own way, through the program's reader and sums."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from probe.activations import Reader
from probe.batches import Batch
from probe.cells import Wanted
from probe.config import (
    Config,
    DataConfig,
    ModelConfig,
    Side,
    Site,
)
from probe.request import Request
from probe.totals import Totals


class Ours:
    """One batch of texts, to go through the reader and the sums any number of times.

    Parameters
    ----------
    trunk : nn.Module
        Model without its head.
    batch : Batch
        Texts, as token ids.
    layers : list of int
        Layers to read.
    selection : {"all", "each"}
        One matrix over the layers, or one for each.
    scheme : {"mean", "fisher", "pooled"}
        Average.
    """

    def __init__(
        self, trunk: nn.Module, batch: Batch, layers: list[int], selection: str, scheme: str
    ) -> None:
        config = Config(
            model=ModelConfig(padding_side=Side.left),
            data=DataConfig(source="text"),
        )
        self.device = next(trunk.parameters()).device
        self.batch, self.trunk = batch, trunk
        self.reader = Reader(trunk, config.model, layers, Site.residual)
        names = [f"text {member}" for member in batch.members]
        groups = [layers] if selection == "all" else [[layer] for layer in layers]
        wanted = [
            Wanted(f"matrix{number}", group, [0], scheme=scheme)
            for number, group in enumerate(groups)
        ]
        self.request = Request(config, layers, [batch], names, "benchmark", wanted)
        self.totals = self.fresh()

    def fresh(self) -> Totals:
        """Return empty sums."""
        return Totals(self.request, self.reader.n_neurons(), self.device)

    def run(self) -> float:
        """Add the batch to the sums; no other process takes part."""
        tensors = self.batch.tensors(0, Side.left, 0).to(self.device)
        self.reader.read(tensors, partial(self.totals.consume, self.batch, tensors))
        return 0.0

    def matrices(self) -> list[torch.Tensor]:
        """Run once with empty sums and finish them."""
        self.totals = self.fresh()
        self.run()
        found = self.totals.finish()
        return [tensor for name, tensor in found.items() if name.endswith("/matrix")]
