"""Averages that need every example's own matrix: Fisher's z and standard errors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.batch_memory import BatchShape, MostBytes
from probe.correlation.correlation import Carry, Correlation, divide, finish
from probe.correlation.coverage import Coverage
from probe.correlation.product import Matmul, factor_bytes, in_order, multiply, number_bytes
from probe.correlation.standardise import standardise, standardise_bytes
from probe.correlation.steep import Steep, steep_bytes
from probe.correlation.strips import add_weighted, strip_height
from probe.correlation.undo import undone_on_failure


class ExampleSums:
    r"""Weighted mean of the examples' correlations, or of their Fisher z, with standard errors.

    Fisher: `tanh(Σ w_b arctanh(r_b) / Σ w_b)`, with `|r_b|` clipped to `1 - 1e-7`.

    The standard error of an entry is that of a ratio of sums over examples (Cochran 1977, Sampling
    Techniques, section 6.4): with `t_b` the sum of an example's values over the layers and `c_b`
    the number of layers in which they were defined, `R = Σ w t / Σ w c` and
    `SE² = N/(N-1) Σ w² (t - R c)² / (Σ w c)²`. For one layer and equal weights that is the familiar
    `s/√N`. After Fisher's z it is mapped back by the derivative of tanh, `SE_r = (1 - R²) SE_z`.

    Parameters
    ----------
    n_neurons : int
        Number of neurons.
    device : torch.device
        Where the sums live.
    fisher : bool
        Average arctanh r and map back.
    std : bool
        Also keep what the standard error needs: four more matrices of sums and, from the first
        to the last layer of a batch, one matrix per example.
    layers : int
        Updates per batch, one for each layer averaged together.
    matmul : {"fp32", "tf32", "bf16x3"}
        Precision of the products, see `product.multiply`.

    Attributes
    ----------
    total : Tensor of float64, shape (n_neurons, n_neurons)
        Weighted sum of the values, filled above the diagonal only.
    coverage : Coverage
        Sum of the weights, for the examples in which an entry was defined.
    """

    def __init__(
        self,
        n_neurons: int,
        device: torch.device,
        fisher: bool,
        std: bool,
        layers: int = 1,
        matmul: Matmul = "fp32",
    ) -> None:
        self.fisher, self.layers, self.matmul = fisher, layers, matmul
        self.total = torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
        self.coverage = Coverage(n_neurons, device)
        self.squares = _Squares(n_neurons, device) if std else None

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
        carry = {} if carry is None else carry
        kept = dict(carry)  # carried on if the batch is added
        weight = weight.to(activations.device)
        series, defined, finite = standardise(activations, keep)
        series = in_order(series)
        steep = Steep(activations, keep) if self.fisher else None
        squares: list[Tensor] = []
        if self.squares is not None and self._n_layers(carry) == self.layers - 1:
            squares += self.squares.sums.values()
        with undone_on_failure(self.total, *carry.values(), *squares):
            self._add(series, weight, steep, kept)
            if self.squares is not None:
                self._square(defined, weight, kept)
            # Last, as it is not rolled back.
            self.coverage.add(defined, weight)
        carry.clear()
        carry.update(kept)
        return finite

    @staticmethod
    def _n_layers(carry: dict[str, Tensor]) -> int:
        return carry["defined"].shape[1] if carry else 0

    def _add(
        self, series: Tensor, weight: Tensor, steep: Steep | None, carry: dict[str, Tensor]
    ) -> None:
        """Add every example's values, strip by strip."""
        n_examples, _, n = series.shape
        if self.squares is not None and not carry:
            carry["values"] = self.total.new_zeros(n_examples, n, n)
            carry["defined"] = self.total.new_zeros(n_examples, 0, n)
        height = strip_height(n_examples, n, series.element_size(), series.device)
        # The upper triangle in strips of rows, each from its own diagonal block on.
        for start in range(0, n, height):
            rows, columns = slice(start, start + height), slice(start, n)
            # The series of a constant neuron, and so its values, are zero.
            values = multiply(series[..., rows], series[..., columns], self.matmul)
            block = values[..., : values.shape[1]]
            block *= torch.ones_like(block[0]).triu_(diagonal=1)
            if steep is not None:
                values = steep.arctanh(values, start)
            if self.squares is not None:
                carry["values"][:, rows, columns] += values.to(self.total.device)
            add_weighted(self.total[rows, columns], values, weight)

    def _square(self, defined: Tensor, weight: Tensor, carry: dict[str, Tensor]) -> None:
        """Square each example's sum over the layers after the last one."""
        assert self.squares is not None
        indicator = defined.to(self.total.device, torch.float64).unsqueeze(1)
        carry["defined"] = torch.cat([carry["defined"], indicator], dim=1)
        if self._n_layers(carry) == self.layers:
            self.squares.add(carry["values"], carry["defined"], weight)
            carry.clear()

    def most_bytes(self, batch: BatchShape) -> MostBytes:
        """Return the most bytes that batches of a shape take, see `Sums.most_bytes`."""
        n, coverage = len(self.total), self.coverage.most_bytes(batch)
        number, matrix = number_bytes(batch.device, n), 8 * n**2
        strip = batch.rows * n * strip_height(batch.rows, n, number, batch.device)
        work, undo, by_example = 16 * strip, matrix, 0
        if self.fisher:
            work = 8 * batch.tokens * n + steep_bytes(batch, n, strip, number)
        if self.squares is not None:
            by_example = 8 * batch.rows * n * (n + 2 * self.layers)
            undo += 4 * matrix + by_example
            work = max(work, 3 * matrix)
        update = standardise_bytes(batch, n) + undo + work + factor_bytes(batch, n, self.matmul)
        kept = by_example if self.layers > 1 else 0  # and copied, to undo what fails
        return MostBytes(coverage.run, kept, update + coverage.update)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the sums of other examples."""
        self.total += state["total"].to(self.total.device)
        self.coverage.merge(state)
        if self.squares is not None:
            self.squares.merge(state)

    def state(self) -> dict[str, Tensor]:
        """Return the sums by name."""
        squares = {} if self.squares is None else self.squares.sums
        return {"total": self.total} | self.coverage.state() | squares

    def finish(self) -> Correlation:
        """Return the average and its standard error, mapped back from Fisher's z."""
        weight = self.coverage.matrix()
        ratio = divide(self.total + self.total.T, weight)
        error = None if self.squares is None else self.squares.error(ratio, weight)
        if self.fisher:
            ratio = torch.tanh(ratio)
            error = None if error is None else error * (1 - ratio**2)
        return finish(ratio, weight.diagonal() == 0, error)


class _Squares:
    """Sums of squares and products over examples, which the standard error is made of."""

    def __init__(self, n_neurons: int, device: torch.device) -> None:
        self.sums = {
            name: torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
            for name in ("value_squared", "value_count", "count_squared", "examples")
        }

    def add(self, values: Tensor, defined: Tensor, weight: Tensor) -> None:
        """Add examples: `values` (n_examples, n_neurons, n_neurons), filled above the diagonal.

        `defined` is (n_examples, n_layers, n_neurons).
        """
        for value, indicator, w in zip(values, defined, weight.tolist(), strict=True):
            count = indicator.T @ indicator
            self.sums["value_squared"].add_(value**2, alpha=w * w)
            self.sums["value_count"].add_(value * count, alpha=w * w)
            self.sums["count_squared"].add_(count**2, alpha=w * w)
            self.sums["examples"] += count > 0

    def merge(self, state: Mapping[str, Tensor]) -> None:
        for name, total in self.sums.items():
            total += state[name].to(total.device)

    def error(self, ratio: Tensor, weight: Tensor) -> Tensor:
        n = self.sums["examples"]
        squared, product = (
            above + above.T for above in (self.sums["value_squared"], self.sums["value_count"])
        )
        residual = squared - 2 * ratio * product + ratio**2 * self.sums["count_squared"]
        variance = torch.where(n > 1, n / (n - 1) * residual.clamp(min=0) / weight**2, torch.nan)
        error = variance.sqrt()
        error.diagonal().zero_()
        return error
