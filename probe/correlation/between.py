"""Averages of the correlations between the neurons of two layers."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.correlation import Correlation, divide
from probe.correlation.coverage import Coverage
from probe.correlation.product import (
    Matmul,
    factor_bytes,
    in_order,
    multiply,
    number_bytes,
    product_bytes,
)
from probe.correlation.standardise import standardise, standardise_bytes
from probe.correlation.steep import FEW, PORTION, STEEP, fisher_z, rough_z, steep_bytes, unit
from probe.correlation.strips import add_weighted, strip_height
from probe.correlation.undo import undone_on_failure


class BatchSeries(NamedTuple):
    """One layer's standardised series of a batch, kept for the later layers.

    Attributes
    ----------
    series : Tensor of float32 or float64, shape (n_examples, n_tokens, n_neurons)
        Float64 for Fisher's z and for few neurons on a CPU.
    defined : Tensor of bool, shape (n_examples, n_neurons)
        False where a neuron is constant.
    finite : Tensor of bool, shape (n_examples,)
        False where an activation is not finite.
    """

    series: Tensor
    defined: Tensor
    finite: Tensor


def batch_series(activations: Tensor, keep: Tensor, weight: Tensor, fisher: bool) -> BatchSeries:
    """Standardise one layer's activations of a batch, see `Sums.update`.

    Series have length 1 for Fisher's z, otherwise the root of the example's weight.
    """
    length = None if fisher else weight.to(activations.device).sqrt()
    series, defined, finite = standardise(activations, keep, length)
    if fisher:
        series = unit(activations, keep.unsqueeze(2)).mul_(defined.unsqueeze(1))
    return BatchSeries(in_order(series), defined, finite)


def series_bytes(batch: BatchShape, n_neurons: int, fisher: bool) -> MostBytes:
    """Return the most bytes that `batch_series` takes for one layer."""
    number = 8 if fisher else number_bytes(batch.device, n_neurons)
    return MostBytes(
        batch=(number * batch.length + 1) * batch.rows * n_neurons,
        update=standardise_bytes(batch, n_neurons),
    )


class BetweenSums:
    r"""Weighted mean of the examples' correlations between two layers, or of their Fisher z.

    With `X` and `Y` the standardised series of the two layers, an example's correlations are
    `Xᵀ Y`, so the sum over a batch is one product of all its tokens stacked, as in `MeanSums`;
    Fisher's z needs every example's own product, as in `ExampleSums`.

    Parameters
    ----------
    n_neurons : int
        Neurons of each layer.
    device : torch.device
        Where the sums live; it must have float64.
    fisher : bool
        Average arctanh r and map back.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.

    Attributes
    ----------
    total : Tensor of float64, shape (n_neurons, n_neurons)
        Weighted sum of the values.
    coverage : Coverage
        Sum of the weights, for the examples in which an entry was defined.
    varied : Tensor of float64, shape (2, n_neurons)
        Weight of the examples in which each neuron of the two layers was defined.
    """

    def __init__(
        self, n_neurons: int, device: torch.device, fisher: bool = False, matmul: Matmul = "fp32"
    ) -> None:
        self.fisher, self.matmul = fisher, matmul
        self.total = torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
        self.coverage = Coverage(n_neurons, device)
        self.varied = torch.zeros(2, n_neurons, dtype=torch.float64, device=device)

    def update(self, left: BatchSeries, right: BatchSeries, weight: Tensor) -> None:
        """Add a batch: two layers' series and the examples' `weight`, (n_examples,) float64.

        If memory runs out, nothing is added.
        """
        # The layers of a model can be on several devices.
        weight = weight.to(right.series.device)
        left = BatchSeries(*(tensor.to(right.series.device) for tensor in left))
        varied = torch.stack([weight @ side.defined.double() for side in (left, right)])
        with undone_on_failure(self.total, self.varied):
            if self.fisher:
                self._add_each(left.series, right.series, weight)
            else:
                rows, columns = left.series.flatten(0, 1), right.series.flatten(0, 1)
                self.total += multiply(rows, columns, self.matmul).to(self.total.device)
            self.varied += varied.to(self.varied.device)
            # Last, as it is not rolled back.
            self.coverage.add(left.defined, weight, right.defined)

    def _add_each(self, left: Tensor, right: Tensor, weight: Tensor) -> None:
        """Add every example's Fisher z, a strip of rows of all examples at a time."""
        n_examples, _, n = right.shape
        height = strip_height(n_examples, n, right.element_size(), right.device)
        for start in range(0, left.shape[2], height):
            rows = slice(start, start + height)
            add_weighted(self.total[rows], self._values(left[..., rows], right), weight)

    def _values(self, left: Tensor, right: Tensor) -> Tensor:
        """Return every example's Fisher z from a float32 product, steep ones from float64."""
        # By all neurons of the layer: a strip of them may be few enough for another type.
        columns = in_order(right.float())
        r = multiply(left.float().to(columns.dtype), columns, self.matmul)
        steep = r.abs() > STEEP
        pairs = steep.nonzero()
        z = rough_z(r)
        if len(pairs) > FEW * r.numel():
            return torch.where(steep, fisher_z(left.mT @ right).to(z.dtype), z)
        if len(pairs):
            portions = torch.split(pairs, max(1, PORTION // left.shape[1]))
            exact = torch.cat([_products(left, right, portion) for portion in portions])
            z[pairs.unbind(dim=1)] = fisher_z(exact).to(z.dtype)
        return z

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, besides the layers' series."""
        n, coverage = len(self.total), self.coverage.most_bytes(batch)
        number, undo = number_bytes(batch.device, n), 8 * n**2 + 32 * batch.rows * n
        if self.fisher:
            strip = batch.rows * n * strip_height(batch.rows, n, 8, batch.device)
            columns = (12 if number == 8 else 4) * batch.tokens * n
            work = columns + steep_bytes(batch, n, strip, number)
            work += factor_bytes(batch, n, self.matmul)
        else:
            work = product_bytes(batch, n, self.matmul, sides=2)
        return MostBytes(coverage.run, update=undo + work + coverage.update)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of other examples."""
        self.total += state["total"].to(self.total.device)
        self.varied += state["varied"].to(self.varied.device)
        self.coverage.merge(state)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        return {"total": self.total, "varied": self.varied} | self.coverage.state()

    def finish(self) -> Correlation:
        """Return the average, mapped back from Fisher's z, the first layer's neurons as rows."""
        matrix = divide(self.total, self.coverage.matrix())
        if self.fisher:
            matrix = torch.tanh(matrix)
        return Correlation(matrix.clamp_(-1, 1), self.varied.flatten() == 0)


def _products(left: Tensor, right: Tensor, pairs: Tensor) -> Tensor:
    """Correlate pairs of neurons, `pairs` (n_pairs, 3) of example, row and column."""
    example, row, column = pairs.unbind(dim=1)
    return (left[example, :, row] * right[example, :, column]).sum(dim=1)
