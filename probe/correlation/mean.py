"""The arithmetic mean of the examples' correlation matrices, without forming any of them."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.correlation import Carry, Correlation, divide, finish
from probe.correlation.coverage import Coverage
from probe.correlation.product import Matmul, gram, product_bytes
from probe.correlation.standardise import standardise, standardise_bytes
from probe.correlation.strongest import StrongestTokens


class MeanSums:
    r"""Weighted mean of correlations over examples (and layers, if several are added).

    With `Z_b` the standardised series of example `b`, `r_b = Z_bᵀ Z_b`, so the sum over a batch
    `Σ w_b r_b` is one product of all its tokens stacked, each series `√w_b` long
    (Zheng et al. 2025, arXiv:2506.01042, section 3, average over texts).

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    device : torch.device
        Where the sums live.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.
    sample : Tensor of int64, optional
        Neurons over which the share of the strongest tokens is taken; None if it is not.

    Attributes
    ----------
    total : Tensor of float64, shape (n_neurons, n_neurons)
        A matrix whose symmetric part is the sum of the weighted correlations, see `product.gram`.
    coverage : Coverage
        Sum of the weights, for the examples in which an entry was defined.
    strongest : StrongestTokens or None
        The strongest tokens' part of the total.
    """

    def __init__(
        self,
        n_neurons: int,
        device: torch.device,
        matmul: Matmul = "fp32",
        sample: Tensor | None = None,
    ) -> None:
        self.matmul = matmul
        self.total = torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
        self.coverage = Coverage(n_neurons, device)
        self.strongest = None if sample is None else StrongestTokens(sample, device)

    def update(
        self,
        activations: Tensor,
        keep: Tensor,
        weight: Tensor,
        layer: int = 0,
        carry: Carry = None,
        strongest: Tensor | None = None,
    ) -> Tensor:
        """Add a batch: `activations` (n_examples, n_tokens, n_neurons), see `Sums.update`."""
        weight = weight.to(activations.device)
        series, defined, finite = standardise(activations, keep, weight.sqrt())
        product = gram(series.flatten(0, 1), self.total.device, self.matmul)
        part = None
        if self.strongest is not None and strongest is not None:
            part = self.strongest.product(series, strongest)
        # What may run out of memory comes first: a batch is added whole or not at all.
        self.coverage.add(defined, weight)
        product.add_to(self.total)
        if self.strongest is not None and part is not None:
            self.strongest.total += part
        return finite

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, see `Sums.most_bytes`."""
        n, coverage = len(self.total), self.coverage.most_bytes(batch)
        work = standardise_bytes(batch, n) + product_bytes(batch, n, self.matmul)
        work += 0 if self.strongest is None else self.strongest.product_bytes(batch)
        return MostBytes(coverage.run, update=work + coverage.update)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of other examples."""
        self.total += state["total"].to(self.total.device)
        self.coverage.merge(state)
        if self.strongest is not None:
            self.strongest.total += state["strongest"].to(self.strongest.total.device)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        strongest = {} if self.strongest is None else {"strongest": self.strongest.total}
        return {"total": self.total} | strongest | self.coverage.state()

    def finish(self) -> Correlation:
        """Return the average."""
        weight = self.coverage.matrix()
        average = finish(divide(self.total, weight), weight.diagonal() == 0)
        if self.strongest is None:
            return average
        return replace(average, strongest_share=self.strongest.share(average.matrix, weight))
