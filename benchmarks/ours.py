"""Our own method, using the program's reader and sums."""

from functools import partial
from itertools import combinations

import torch
from torch import nn

from probe.config import (
    AverageConfig,
    Coefficient,
    Config,
    DataConfig,
    Matmul,
    ModelConfig,
    RuntimeConfig,
    Side,
    Site,
)
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.accumulator import Accumulator
from probe.extraction.activations import Reader


class Ours:
    """One batch of texts that can be read and summed any number of times.

    Parameters
    ----------
    trunk : nn.Module
        Model without its head.
    batch : Batch
        Texts, as token ids.
    layers : list of int
        Layers to read.
    selection : {"all", "middle", "each", "cross"}
        One matrix over the layers, one per layer, or one per pair of layers.
    scheme : {"mean", "fisher", "pooled"}
        Averaging scheme.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products.
    correlation : {"pearson", "spearman"}
        Of activations, or of their ranks.
    """

    def __init__(
        self,
        trunk: nn.Module,
        batch: Batch,
        layers: list[int],
        selection: str,
        scheme: str,
        matmul: str = "fp32",
        correlation: str = "pearson",
    ) -> None:
        config = Config(
            model=ModelConfig(padding_side=Side.left),
            data=DataConfig(source="text"),
            average=AverageConfig(correlation=Coefficient(correlation)),
            runtime=RuntimeConfig(matmul=Matmul(matmul)),
        )
        self.device = next(trunk.parameters()).device
        self.batch, self.trunk = batch, trunk
        self.reader = Reader(trunk, config.model, layers, Site.residual)
        names = [f"text {member}" for member in batch.members]
        groups = {
            "each": [[layer] for layer in layers],
            "cross": [list(pair) for pair in combinations(layers, 2)],
        }.get(selection, [layers])
        kind = "cross" if selection == "cross" else "layer"
        specs = [
            MatrixSpec(f"matrix{number}", group, [0], scheme=scheme, kind=kind)
            for number, group in enumerate(groups)
        ]
        self.request = Request(config, layers, [batch], names, "benchmark", specs)
        self.sums = self.fresh()

    def fresh(self) -> Accumulator:
        """Return empty sums."""
        return Accumulator(self.request, self.reader.n_neurons(), self.device)

    def run(self) -> float:
        """Add the batch to the sums; return 0 seconds of CPU time in other processes."""
        tensors = self.batch.tensors(0, Side.left, 0).to(self.device)
        self.reader.read(tensors, partial(self.sums.consume, self.batch, tensors))
        return 0.0

    def matrices(self) -> list[torch.Tensor]:
        """Run once with empty sums; return the averages."""
        self.sums = self.fresh()
        self.run()
        return [
            average.matrix
            for matrix in self.sums.finish().matrices.values()
            for average in (matrix.average, *matrix.blocks.values())
            if average is not None
        ]
