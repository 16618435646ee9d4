"""Fisher's z where it is steep: exact to float64."""

from functools import cached_property

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape

CLIP = 1 - 1e-7
# Beyond this |r| arctanh amplifies the rounding error of a float32 product.
STEEP = 0.9
# Up to this share of all pairs, steep ones are recomputed one by one; beyond it, the whole product.
FEW = 1 / 128
# Most elements of the series of pairs that are recomputed together.
PORTION = 1 << 22


class Steep:
    """Recomputes in float64 the correlations of a batch whose |r| is above 0.9.

    Parameters
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations of the batch.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count.
    """

    def __init__(self, activations: Tensor, keep: Tensor) -> None:
        self.activations, self.keep = activations, keep

    def arctanh(self, r: Tensor, start: int = 0) -> Tensor:
        """Return Fisher's z of rows of every example's correlations.

        Parameters
        ----------
        r : Tensor, shape (n_examples, n_rows, n_neurons - start)
            Correlations of neurons from `start` on with neurons from `start` on, from a float32
            product.
        start : int
            First neuron.

        Returns
        -------
        Tensor, shape (n_examples, n_rows, n_neurons - start)
            arctanh r, with |r| clipped to 1 - 1e-7.
        """
        steep = r.abs() > STEEP
        pairs = steep.nonzero()
        z = rough_z(r)
        if len(pairs) > FEW * r.numel():
            rows = slice(start, start + r.shape[1])
            exact = self._whole[..., rows].mT @ self._whole[..., start:]
            return torch.where(steep, fisher_z(exact).to(z.dtype), z)
        if len(pairs):
            z[pairs.unbind(dim=1)] = fisher_z(self._products(pairs, start)).to(z.dtype)
        return z

    @cached_property
    def _whole(self) -> Tensor:
        return unit(self.activations, self.keep.unsqueeze(2))

    def _products(self, pairs: Tensor, start: int) -> Tensor:
        """Correlate pairs of neurons, `pairs` (n_pairs, 3) of example, row and column."""
        n = self.activations.shape[2]
        example, row, column = pairs.unbind(dim=1)
        keys = torch.cat([row, column]) + start + n * example.repeat(2)
        involved, where = torch.unique(keys, return_inverse=True)
        example = involved // n
        series = unit(self.activations[example, :, involved % n], self.keep[example])
        portion = max(1, PORTION // series.shape[1])
        left, right = (side.split(portion) for side in where.chunk(2))
        return torch.cat(
            [(series[i] * series[j]).sum(dim=1) for i, j in zip(left, right, strict=True)]
        )


def steep_bytes(batch: BatchShape, n_neurons: int, correlations: int, number_bytes: int) -> int:
    """Return the most bytes that Fisher's z of a strip takes, where all of it may be steep.

    For each of the strip's correlations: itself, its z, whether and where (three int64) it is
    steep, and its float64 value in two types. Or, of the few that are steep, both series.
    """
    few = FEW * correlations
    series = min(2 * few, batch.rows * n_neurons) * batch.length
    portion = min(few * batch.length, max(PORTION, batch.length))
    one_by_one = int(14 * series + 24 * portion)
    return (25 + 2 * number_bytes) * correlations + max(16 * correlations, one_by_one)


def fisher_z(r: Tensor) -> Tensor:
    """Replace r, float64, by arctanh r, with |r| clipped to 1 - 1e-7."""
    return r.clamp_(-CLIP, CLIP).arctanh_()


def rough_z(r: Tensor) -> Tensor:
    """Return arctanh r in the type of r, independent of the number of CPU threads."""
    # Not `arctanh`, which uses another formula at the end of each CPU thread's share.
    return (1 + r).div_(1 - r).log_().mul_(0.5)


def unit(activations: Tensor, keep: Tensor) -> Tensor:
    """Standardise over dimension 1, in float64."""
    tokens = keep.sum(dim=1, keepdim=True)
    centred = activations.double().masked_fill_(~keep, 0)
    for _ in range(2):
        centred -= centred.sum(dim=1, keepdim=True) / tokens
        centred.masked_fill_(~keep, 0)
    norm = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred.mul_(torch.where(norm > 0, 1 / norm, 0))
