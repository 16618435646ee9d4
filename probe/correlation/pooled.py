"""One correlation over all tokens of all examples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.correlation import Correlation, finish
from probe.correlation.standardise import NonFiniteError


class PooledSums:
    r"""Weighted covariance over all tokens, merged batch by batch, then scaled to correlations.

    Moments about the running mean are merged by Chan's rule (Chan, Golub and LeVeque 1983, The
    American Statistician 37:242, eq. 2.1), so that a mean a thousand times the deviation costs no
    digits: `M = M_a + M_b + (m_b - m_a)(m_b - m_a)ᵀ w_a w_b / (w_a + w_b)`. Over several layers the
    layers' correlations are averaged.

    Every token of an example weighs the example's weight divided by its tokens: weights equal to
    the numbers of tokens give every token the same say.

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    device : torch.device
        Where the sums live.
    layers : int
        Updates, one a layer, that every batch will bring.
    """

    def __init__(self, n_neurons: int, device: torch.device, layers: int = 1) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(layers, *shape, dtype=torch.float64, device=device)

        self.weight = zeros()
        self.mean = zeros(n_neurons)
        self.moment = zeros(n_neurons, n_neurons)
        self.low = torch.full_like(self.mean, torch.inf)
        self.high = torch.full_like(self.mean, -torch.inf)

    def update(self, activations: Tensor, keep: Tensor, weight: Tensor, layer: int = 0) -> None:
        """Add a batch of one layer: `activations` (n_examples, n_tokens, n_neurons)."""
        device = self.mean.device
        token_weight = (weight / keep.sum(dim=1).cpu()).to(keep.device)
        w = token_weight.unsqueeze(1).expand_as(keep)[keep].unsqueeze(1)
        x = activations[keep].to(torch.float32)
        if not torch.isfinite(x).all():
            finite = torch.isfinite(activations).all(dim=2) | ~keep
            raise NonFiniteError(int((~finite).any(dim=1).int().argmax()))
        low, high = x.amin(dim=0), x.amax(dim=0)
        # Shifted by the first token, the float32 sums keep their digits whatever the mean is.
        anchor = x[0].clone()
        x -= anchor
        centre = (x.mul(w.to(x.dtype)).sum(dim=0, dtype=torch.float64) / w.sum()).to(x.dtype)
        x -= centre
        rest = (x.double() * w).sum(dim=0) / w.sum()
        scaled = x * w.sqrt().to(x.dtype)
        moment = (scaled.T @ scaled).double() - w.sum() * torch.outer(rest, rest)
        mean = anchor.double() + centre.double() + rest
        self._merge(layer, w.sum().to(device), mean.to(device), moment.to(device))
        self.low[layer] = torch.minimum(self.low[layer], low.to(device))
        self.high[layer] = torch.maximum(self.high[layer], high.to(device))

    def _merge(self, layer: int, weight: Tensor, mean: Tensor, moment: Tensor) -> None:
        together = self.weight[layer] + weight
        if together == 0:
            return
        step = mean - self.mean[layer]
        self.moment[layer] += moment
        self.moment[layer] += torch.outer(step, step) * (self.weight[layer] * weight / together)
        self.mean[layer] += step * (weight / together)
        self.weight[layer] = together

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Merge the moments of other examples."""
        other = {name: tensor.to(self.mean.device) for name, tensor in state.items()}
        for layer in range(len(self.weight)):
            moments = (other[name][layer] for name in ("weight", "mean", "moment"))
            self._merge(layer, *moments)
        self.low = torch.minimum(self.low, other["low"])
        self.high = torch.maximum(self.high, other["high"])

    def state(self) -> dict[str, Tensor]:
        """Return the moments by name."""
        return {name: getattr(self, name) for name in ("weight", "mean", "moment", "low", "high")}

    def finish(self) -> Correlation:
        """Scale the covariances to correlations and average them over the layers."""
        total, count = torch.zeros_like(self.moment[0]), torch.zeros_like(self.moment[0])
        for moment, varies in zip(self.moment, self.high > self.low, strict=True):
            scale = torch.where(varies, moment.diagonal().rsqrt(), 0)
            total += moment * torch.outer(scale, scale)
            count += torch.outer(varies, varies)
        return finish(total / count.clamp(min=1), count.diagonal() == 0)
