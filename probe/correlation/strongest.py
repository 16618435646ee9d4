"""How much of an average of correlations is one token of each text."""

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape
from probe.correlation.correlation import divide


class StrongestTokens:
    r"""The part of one token of each example in the sum of the examples' correlations.

    An example's correlations are a sum over its tokens, `r_b = Σ_t z_t z_tᵀ`, with `z_t` the row of
    its standardised series. Of the chosen tokens, one for each example, the part in the average `R`
    is `S = Σ_b w_b z_t z_tᵀ / Σ_b w_b`, and its share is `⟨S, R⟩ / ⟨R, R⟩` over i ≠ j: 1 if nothing
    else correlates.

    Parameters
    ----------
    sample : Tensor of int64, shape (n_sampled,)
        Neurons over which the share is taken; all would double the memory of the sums.
    device : torch.device
        Where the sums live.

    Attributes
    ----------
    total : Tensor of float64, shape (n_sampled, n_sampled)
        `Σ_b w_b z_t z_tᵀ`.
    """

    def __init__(self, sample: Tensor, device: torch.device) -> None:
        self.sample = sample.to(device)
        self.total = torch.zeros(len(sample), len(sample), dtype=torch.float64, device=device)

    def product(self, series: Tensor, tokens: Tensor) -> Tensor:
        """Return what a batch adds to the total.

        Parameters
        ----------
        series : Tensor, shape (n_examples, n_tokens, n_neurons)
            Standardised series, each √w_b long.
        tokens : Tensor of int64, shape (n_examples,)
            Place of the chosen token of each example.
        """
        chosen = series[torch.arange(len(series), device=series.device), tokens]
        chosen = chosen[:, self.sample.to(chosen.device)].double()
        return (chosen.T @ chosen).to(self.total.device)

    def product_bytes(self, batch: BatchShape) -> int:
        """Return the most bytes that `product` takes."""
        sampled = len(self.sample)
        return 8 * (sampled + 2 * batch.rows) * sampled

    def share(self, average: Tensor, weight: Tensor) -> float:
        """Return the share in an average, given the weight of the examples behind every entry.

        NaN where the average is zero off its diagonal.
        """
        mean, weight = (
            part[self.sample][:, self.sample].fill_diagonal_(0) for part in (average, weight)
        )
        part = divide(self.total, weight)
        return float((part * mean).sum() / mean.square().sum())
