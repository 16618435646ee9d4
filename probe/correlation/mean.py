"""The arithmetic mean of the examples' correlation matrices, without forming any of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.correlation import Carry, Correlation, divide, finish
from probe.correlation.coverage import Coverage
from probe.correlation.product import Matmul, gram, product_bytes
from probe.correlation.standardise import standardise, standardise_bytes


class MeanSums:
    r"""Weighted mean of correlations over examples (and layers, if several are added).

    With `Z_b` the standardised series of example `b`, `r_b = Z_bᵀ Z_b`, so the sum over a batch
    `Σ w_b r_b` is one product of all its tokens stacked, each series `√w_b` long
    (Zheng et al. 2025, arXiv:2506.01042, section 3, average over texts).

    Attributes
    ----------
    total : Tensor of float64, shape (n_neurons, n_neurons)
        A matrix whose symmetric part is the sum of the weighted correlations, see `product.gram`.
    coverage : Coverage
        Sum of the weights, for the examples in which an entry was defined.
    """

    def __init__(self, n_neurons: int, device: torch.device, matmul: Matmul = "fp32") -> None:
        self.matmul = matmul
        self.total = torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
        self.coverage = Coverage(n_neurons, device)

    def update(
        self, activations: Tensor, keep: Tensor, weight: Tensor, layer: int = 0, carry: Carry = None
    ) -> Tensor:
        """Add a batch: `activations` (n_examples, n_tokens, n_neurons), see `Sums.update`."""
        weight = weight.to(activations.device)
        series, defined, finite = standardise(activations, keep, weight.sqrt())
        product = gram(series.flatten(0, 1), self.total.device, self.matmul)
        # What may run out of memory comes first: a batch is added whole or not at all.
        self.coverage.add(defined, weight)
        product.add_to(self.total)
        return finite

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, see `Sums.most_bytes`."""
        n, coverage = len(self.total), self.coverage.most_bytes(batch)
        work = standardise_bytes(batch, n) + product_bytes(batch, n, self.matmul)
        return MostBytes(coverage.run, update=work + coverage.update)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of other examples."""
        self.total += state["total"].to(self.total.device)
        self.coverage.merge(state)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        return {"total": self.total} | self.coverage.state()

    def finish(self) -> Correlation:
        """Return the average."""
        weight = self.coverage.matrix()
        return finish(divide(self.total, weight), weight.diagonal() == 0)
