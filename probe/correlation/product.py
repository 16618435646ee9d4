"""The product at the heart of everything: ZᵀZ."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape

# Precision of the products on a device that offers several, see `multiply`.
Matmul = Literal["fp32", "tf32", "bf16x3"]

# With up to this many neurons, or more than this many tokens, a BLAS on the CPU splits the sum over
# tokens between its threads.
_SMALL, _TOKENS = 512, 512
# Strips of the product on a CPU: what lies below the diagonal is mirrored, not computed.
_STRIPS = 8


class Gram(NamedTuple):
    """A matrix whose symmetric part `(A + Aᵀ) / 2` is `series.T @ series`, zero below the strips.

    Attributes
    ----------
    strips : list of Tensor, shape (height, n_neurons - start)
        Its rows, those of each strip from the strip's first column on.
    """

    strips: list[Tensor]

    def add_to(self, total: Tensor) -> None:
        """Add to a sum in place, without taking memory."""
        start = 0
        for strip in self.strips:
            end = start + len(strip)
            total[start:end, start:] += strip
            start = end


def gram(series: Tensor, device: torch.device, matmul: Matmul = "fp32") -> Gram:
    """Multiply series with themselves, computing only as much as the symmetric part needs.

    Parameters
    ----------
    series : Tensor of float32, shape (n_tokens, n_neurons)
        Standardised (or centred) series, all examples stacked.
    device : torch.device
        Where the product is to be added.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the product, see `multiply`.
    """
    series = in_order(series)
    n = series.shape[1]
    if series.device.type != "cpu" or n <= _SMALL:
        halves = matmul == "bf16x3" and series.dtype == torch.float32
        product = gram_of_halves(series) if halves else multiply(series, series, matmul)
        product = product.to(device)
        # Adding other types to a float64 total takes memory on a CPU, and none on a GPU.
        return Gram([product.double() if device.type == "cpu" else product])
    strips, step = [], -(-n // _STRIPS)
    for start in range(0, n, step):
        end = start + step
        strip = multiply(series[:, start:end], series[:, start:], matmul).double()
        strip[:, step:] *= 2
        strips.append(strip.to(device))
    return Gram(strips)


def gram_of_halves(series: Tensor) -> Tensor:
    """Return a matrix whose symmetric part is `series.T @ series` to the precision of bf16x3.

    With `h + l` for the series, `hᵀh + hᵀl + lᵀh` is the symmetric part of `hᵀh + 2 hᵀl`: two
    products instead of three.
    """
    high, low = _halves(series)
    return _from_bfloat16(torch.cat([high, high]), torch.cat([high, 2 * low]))


def in_order(series: Tensor) -> Tensor:
    """Return the series in float64 where the order of a product's sums cannot be fixed.

    A float32 product of few neurons on a CPU depends on the number of threads, and so on the number
    of ranks on the machine; float64 costs little there.
    """
    return series.double() if number_bytes(series.device, series.shape[-1]) == 8 else series


def number_bytes(device: torch.device, n_neurons: int) -> int:
    """Return the bytes of a number of the series that `in_order` returns."""
    return 8 if device.type == "cpu" and n_neurons <= _SMALL else 4


def multiply(left: Tensor, right: Tensor, matmul: Matmul = "fp32") -> Tensor:
    """Return `left.mT @ right`.

    `fp32` takes the factors as they are. `tf32` rounds them to 11 bits, on a GPU that can.
    `bf16x3` writes each as the sum of two factors of 8 bits, `h + l`, and leaves out `lᵀl` (Henry,
    Tang and Heinecke 2019, arXiv:1904.06376). Factors in float64 are always multiplied in it.

    Parameters
    ----------
    left, right : Tensor, shape (..., n_tokens, n_left) and (..., n_tokens, n_right)
        Series, float32 or float64.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the product of float32 factors, summed in float32. On a CPU the sums do not
        depend on the number of threads.
    """
    if matmul == "bf16x3" and left.dtype == torch.float32:
        (high, low), (other_high, other_low) = _halves(left), _halves(right)
        return _from_bfloat16(
            torch.cat([high, high, low], dim=-2),
            torch.cat([other_high, other_low, other_high], dim=-2),
        )
    if matmul == "tf32" and left.device.type == "cuda":
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            return left.mT @ right
        finally:
            torch.set_float32_matmul_precision(before)
    if left.device.type != "cpu":
        return left.mT @ right
    product = left[..., :_TOKENS, :].mT @ right[..., :_TOKENS, :]
    for start in range(_TOKENS, left.shape[-2], _TOKENS):
        tokens = slice(start, start + _TOKENS)
        product += left[..., tokens, :].mT @ right[..., tokens, :]
    return product


def product_bytes(batch: BatchShape, n_neurons: int, matmul: Matmul, sides: int = 1) -> int:
    """Return the most bytes that multiplying a batch's stacked series takes on top of the series.

    On a CPU the product of the tokens so far and of some more are there together, in float64.
    """
    number = 16 if batch.device.type == "cpu" else 8
    return number * n_neurons**2 + factor_bytes(batch, n_neurons, matmul, sides)


def factor_bytes(batch: BatchShape, n_neurons: int, matmul: Matmul, sides: int = 2) -> int:
    """Return the most bytes that `bf16x3` makes of one or both `sides` before multiplying them."""
    if matmul != "bf16x3" or number_bytes(batch.device, n_neurons) == 8:
        return 0
    return sides * (14 if batch.device.type == "cuda" else 26) * batch.tokens * n_neurons


def _halves(series: Tensor) -> tuple[Tensor, Tensor]:
    """Write float32 numbers as sums of two bfloat16 numbers, to 16 of their 24 bits."""
    high = series.bfloat16()
    return high, (series - high).bfloat16()


def _from_bfloat16(left: Tensor, right: Tensor) -> Tensor:
    """Return `left.mT @ right` of bfloat16 factors, whose products are exact in float32."""
    if left.device.type != "cuda":
        return left.float().mT @ right.float()
    product: Tensor = (torch.bmm if left.ndim == 3 else torch.mm)(
        left.mT, right, out_dtype=torch.float32
    )
    return product
