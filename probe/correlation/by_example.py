"""Averages that need every example's own matrix: Fisher's z, and standard errors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from probe.correlation.correlation import Correlation, divide, finish
from probe.correlation.coverage import Coverage
from probe.correlation.product import gram
from probe.correlation.standardise import standardise

CLIP = 1 - 1e-7
# Beyond this |r| a rounding error of a float32 product would be amplified by arctanh.
STEEP = 0.9
# Pairs redone one by one while they are fewer than this share of all; else the whole product.
_FEW = 1 / 32


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
        Also keep what the standard error needs: three more matrices of sums, and while a batch
        goes through `layers` layers one matrix for each of its examples.
    layers : int
        Updates, one a layer, that every batch will bring.
    """

    def __init__(
        self, n_neurons: int, device: torch.device, fisher: bool, std: bool, layers: int = 1
    ) -> None:
        self.fisher, self.layers = fisher, layers
        self.total = torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
        self.coverage = Coverage(n_neurons, device)
        self.squares = _Squares(n_neurons, device) if std else None
        self._values: list[Tensor] = []
        self._defined: list[Tensor] = []

    def update(self, activations: Tensor, keep: Tensor, weight: Tensor, layer: int = 0) -> None:
        """Add a batch: `activations` (n_examples, n_tokens, n_neurons), see `standardise`."""
        series, defined = standardise(activations, keep)
        values = []
        for row, (z, w) in enumerate(zip(series, weight.tolist(), strict=True)):
            r = gram(z)
            value = fisher_z(r, activations[row][keep[row]]) if self.fisher else r.double()
            value.diagonal().zero_()
            value[~defined[row]] = 0
            value[:, ~defined[row]] = 0
            value = value.to(self.total.device)
            self.total.add_(value, alpha=w)
            if self.squares is not None:
                values.append(value)
        self.coverage.add(defined.cpu(), weight)
        if self.squares is not None:
            self._hold(values, defined.double().to(self.total.device), weight)

    def _hold(self, values: list[Tensor], defined: Tensor, weight: Tensor) -> None:
        """Add up each example's values over the layers; square them after the last layer."""
        assert self.squares is not None
        self._defined.append(defined)
        if len(self._defined) == 1:
            self._values = values
        else:
            for held, value in zip(self._values, values, strict=True):
                held += value
        if len(self._defined) == self.layers:
            self.squares.add(self._values, torch.stack(self._defined, dim=1), weight)
            self._values, self._defined = [], []

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
        """Divide the sums and map them back."""
        weight = self.coverage.matrix()
        ratio = divide(self.total, weight)
        error = None if self.squares is None else self.squares.error(ratio, weight)
        if self.fisher:
            ratio = torch.tanh(ratio)
            error = None if error is None else error * (1 - ratio**2)
        return finish(ratio, weight.diagonal() == 0, error)


class _Squares:
    """Sums over examples of squares and products, of which the standard error is made."""

    def __init__(self, n_neurons: int, device: torch.device) -> None:
        self.sums = {
            name: torch.zeros(n_neurons, n_neurons, dtype=torch.float64, device=device)
            for name in ("value_squared", "value_count", "count_squared", "examples")
        }

    def add(self, values: list[Tensor], defined: Tensor, weight: Tensor) -> None:
        """Add examples: a matrix each, `defined` (n_examples, n_layers, n_neurons)."""
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
        residual = (
            self.sums["value_squared"]
            - 2 * ratio * self.sums["value_count"]
            + ratio**2 * self.sums["count_squared"]
        )
        variance = torch.where(n > 1, n / (n - 1) * residual.clamp(min=0) / weight**2, torch.nan)
        error = variance.sqrt()
        error.diagonal().zero_()
        return error


def fisher_z(r: Tensor, activations: Tensor) -> Tensor:
    """Return arctanh of one example's correlations, exact to float64 where arctanh is steep.

    Parameters
    ----------
    r : Tensor, shape (n_neurons, n_neurons)
        Correlations from a float32 product.
    activations : Tensor, shape (n_tokens, n_neurons)
        Activations of the example, of which entries with |r| above 0.9 are computed again.

    Returns
    -------
    Tensor of float64, shape (n_neurons, n_neurons)
        Fisher's z, with |r| clipped to 1 - 1e-7; the diagonal has no meaning.
    """
    rows, columns = torch.nonzero(torch.triu(r.abs() > STEEP, diagonal=1), as_tuple=True)
    if len(rows) > _FEW * r.numel():
        exact = _unit(activations.double())
        return torch.arctanh((exact.T @ exact).clamp_(-CLIP, CLIP))
    z = torch.arctanh(r.clamp(-CLIP, CLIP)).double()
    if len(rows):
        involved, where = torch.unique(torch.cat([rows, columns]), return_inverse=True)
        exact = _unit(activations[:, involved].double())
        left, right = where.chunk(2)
        # As many pairs at a time as take some 30 MB.
        portion = max(1, (1 << 22) // len(activations))
        for i, j, a, b in zip(
            *(v.split(portion) for v in (rows, columns, left, right)), strict=True
        ):
            pair = (exact[:, a] * exact[:, b]).sum(dim=0).clamp_(-CLIP, CLIP)
            z[i, j] = z[j, i] = torch.arctanh(pair)
    return z


def _unit(activations: Tensor) -> Tensor:
    centred = activations - activations.mean(dim=0)
    centred -= centred.mean(dim=0)
    norm = torch.linalg.vector_norm(centred, dim=0)
    return centred * torch.where(norm > 0, 1 / norm, 0)
