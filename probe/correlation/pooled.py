"""One correlation over all tokens of all examples."""

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.correlation import Carry, Correlation, finish
from probe.correlation.product import Matmul, gram, product_bytes
from probe.correlation.standardise import centre
from probe.correlation.undo import undone_on_failure


class PooledSums:
    r"""Weighted covariance over all tokens, merged batch by batch, then scaled to correlations.

    Moments about the running mean are merged by Chan's rule (Chan, Golub and LeVeque 1983, The
    American Statistician 37:242, eq. 2.1), so that a mean a thousand times the deviation costs no
    digits: `M = M_a + M_b + (m_b - m_a)(m_b - m_a)ᵀ w_a w_b / (w_a + w_b)`. Over several layers the
    layers' correlations are averaged. Within a batch the same rule parts the moments about each
    example's own mean, a float32 product, from those between the means, which is float64.

    An example's weight is shared equally by its tokens: weights equal to the numbers of tokens
    give every token the same weight.

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    device : torch.device
        Where the sums live.
    layers : int
        Updates per batch, one for each layer averaged together.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.
    """

    def __init__(
        self, n_neurons: int, device: torch.device, layers: int = 1, matmul: Matmul = "fp32"
    ) -> None:
        self.matmul = matmul

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(layers, *shape, dtype=torch.float64, device=device)

        self.weight = zeros()
        self.mean = zeros(n_neurons)
        self.moment = zeros(n_neurons, n_neurons)
        self.low = torch.full_like(self.mean, torch.inf)
        self.high = torch.full_like(self.mean, -torch.inf)
        self.varied = zeros(n_neurons)

    def update(
        self,
        activations: Tensor,
        keep: Tensor,
        weight: Tensor,
        layer: int = 0,
        carry: Carry = None,
        strongest: Tensor | None = None,
    ) -> Tensor:
        """Add a batch of one layer: `activations` (n_examples, n_tokens, n_neurons)."""
        series = torch.empty_like(activations, dtype=torch.float32)
        spread, about = centre(activations, keep, out=series)
        tokens = keep.sum(dim=1, keepdim=True)
        # The centre was rounded: the mean of what is left.
        rest = series.sum(dim=1, dtype=torch.float64) / tokens
        w = weight.to(about.device).unsqueeze(1)
        series *= (w / tokens).sqrt().float().unsqueeze(2)
        with undone_on_failure(*(moment[layer] for moment in self.state().values())):
            gram(series.flatten(0, 1), self.mean.device, self.matmul).add_to(self.moment[layer])
            self._add_between(layer, *self._on_device(about + rest, w, rest))
            varied = ((spread > 0) & (w > 0)).any(0).double()
            # An example of no weight has no centre of its own.
            low, high = (torch.where(w > 0, about, end) for end in (torch.inf, -torch.inf))
            low, high, varied = self._on_device(low.amin(0), high.amax(0), varied)
            self.low[layer] = torch.minimum(self.low[layer], low)
            self.high[layer] = torch.maximum(self.high[layer], high)
            self.varied[layer] = torch.maximum(self.varied[layer], varied)
        return spread.isfinite().all(dim=1)

    def _add_between(self, layer: int, means: Tensor, w: Tensor, rest: Tensor) -> None:
        """Add the moments of the examples' means and of what rounding left of them."""
        mean = (w * means).sum(dim=0) / w.sum().clamp(min=torch.finfo(w.dtype).tiny)
        between = means - mean
        left, right = torch.cat([rest, between]), torch.cat([-w * rest, w * between])
        self.moment[layer].addmm_(left.T, right)
        self._move(layer, w.sum(), mean)

    def _on_device(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.to(self.mean.device) for tensor in tensors)

    def _move(self, layer: int, weight: Tensor, mean: Tensor) -> None:
        """Move the mean towards that of other tokens, whose own moment has been added."""
        together = self.weight[layer] + weight
        share = torch.where(together > 0, weight / together, 0)
        step = mean - self.mean[layer]
        self.moment[layer].addr_(step, step * (self.weight[layer] * share))
        self.mean[layer] += step * share
        self.weight[layer] = together

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, see `Sums.most_bytes`."""
        n = self.mean.shape[1]
        series, undo = (12 * batch.length + 96) * batch.rows * n, 8 * n**2
        return MostBytes(update=series + undo + product_bytes(batch, n, self.matmul))

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Merge the moments of other examples."""
        other = {name: tensor.to(self.mean.device) for name, tensor in state.items()}
        for layer in range(len(self.weight)):
            self.moment[layer] += other["moment"][layer]
            self._move(layer, other["weight"][layer], other["mean"][layer])
        self.low = torch.minimum(self.low, other["low"])
        self.high = torch.maximum(self.high, other["high"])
        self.varied = torch.maximum(self.varied, other["varied"])

    def state(self) -> dict[str, Tensor]:
        """Return the moments by name."""
        names = ("weight", "mean", "moment", "low", "high", "varied")
        return {name: getattr(self, name) for name in names}

    def finish(self) -> Correlation:
        """Scale the covariances to correlations and average them over the layers."""
        total, count = torch.zeros_like(self.moment[0]), torch.zeros_like(self.moment[0])
        # Constant over all tokens: constant in every example, and the same in all.
        varying = (self.varied > 0) | (self.high > self.low)
        for moment, varies in zip(self.moment, varying, strict=True):
            # Deviations whose squares underflow in float32 count as constant.
            varies = varies & (moment.diagonal() > 0)
            scale = torch.where(varies, moment.diagonal().rsqrt(), 0)
            total += moment * torch.outer(scale, scale)
            count += torch.outer(varies, varies)
        return finish(total / count.clamp(min=1), count.diagonal() == 0)
