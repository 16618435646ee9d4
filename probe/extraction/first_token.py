"""Norm outliers: how much larger the first token's activations are than the others'."""

import torch
from torch import Tensor

# A first token whose norm is this many times the median dominates the correlations (often an
# attention sink).
LARGE = 5.0


class FirstTokenNorm:
    """Norm of the first counted token over the median norm, averaged over examples.

    Parameters
    ----------
    layers : list of int
        Layers that will be read.
    device : torch.device
        Where the sums live; it must have float64.
    """

    def __init__(self, layers: list[int], device: torch.device | None = None) -> None:
        self._row = {layer: row for row, layer in enumerate(layers)}
        self.total = torch.zeros(len(layers), dtype=torch.float64, device=device)

    def update(self, layer: int, activations: Tensor, keep: Tensor) -> None:
        """Add a batch: `activations` see `probe.correlation.Sums.update`."""
        norms = torch.linalg.vector_norm(activations, dim=-1, dtype=torch.float32)
        first = norms.gather(1, keep.int().argmax(dim=1, keepdim=True)).squeeze(1)
        median = norms.masked_fill(~keep, torch.nan).nanmedian(dim=1).values
        self.total[self._row[layer]] += (first / median).sum().to(self.total.device)

    def merge(self, total: Tensor) -> None:
        """Add the `total` of another rank."""
        self.total += total.to(self.total.device)
