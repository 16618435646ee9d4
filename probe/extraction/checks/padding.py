"""Whether a text reads the same in a batch as alone, and what a batch may hold."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probe.config import ModelConfig
from probe.examples.batches import Batch, Tensors, Together
from probe.extraction.activations import Reader
from probe.extraction.checks.routing import routes

# Largest change of r in float32: ten times what rounding does in a sound model.
MOST_R = 5e-6
# Largest change of a token's activations, in units of the type's precision (2^-23 in float32, 2^-7
# in bfloat16): rounding moves them by one to four through tens of blocks, a mask that is ignored by
# more than a hundred in bfloat16.
MOST_UNITS = 16
# Neurons of each layer whose correlations are compared.
_SAMPLE = 256


@dataclass(frozen=True)
class Difference:
    """The largest differences between a text in a batch and alone, over all layers.

    Attributes
    ----------
    r : float
        Of correlations over the text's tokens, dimensionless.
    x : float
        Of a token's activations, ‖Δx‖/‖x‖, dimensionless.
    bound : float
        The most that rounding explains of `x`.
    rerouted : int
        Tokens left out, because other experts computed them.
    """

    r: float
    x: float
    bound: float
    rerouted: int

    @property
    def passes(self) -> bool:
        """Whether rounding explains the differences; r is judged in float32 only."""
        return self.x <= self.bound or (self.bound < MOST_R and self.r <= MOST_R)


@dataclass(frozen=True)
class Reading:
    """Some texts' activations and experts, each text without its padding."""

    layers: Mapping[int, list[Tensor]]
    experts: list[list[Tensor]]


def read(
    reader: Reader, batch: Batch, pad: int, model: ModelConfig, **whole: bool
) -> tuple[Reading, Tensors, object]:
    """Read a batch; return what was read, its tensors, and the trunk's output if it is whole."""
    tensors = batch.tensors(pad, model.padding_side, 0).to(reader.device)
    shape = tensors.tokens.shape
    layers: dict[int, list[Tensor]] = {}

    def keep(layer: int, x: Tensor) -> None:
        layers[layer] = _rows(x[..., :: -(-x.shape[-1] // _SAMPLE)].float(), tensors.attended)

    with routes(reader.trunk, (shape[0], shape[1])) as chosen:
        output = reader.read(tensors, keep, **whole)
    experts = [_rows(one, tensors.attended) for one in chosen]
    return Reading(layers, experts), tensors, output


def _rows(values: Tensor, attended: Tensor) -> list[Tensor]:
    mask = attended.to(values.device)
    return [row[real].clone() for row, real in zip(values, mask, strict=True)]


def difference(batch: Reading, row: int, alone: Reading, dtype: torch.dtype) -> Difference:
    """Compare a row of a batch with the same text alone."""
    alike = torch.ones(len(next(iter(alone.layers.values()))[0]), dtype=torch.bool)
    for many, [experts] in zip(batch.experts, alone.experts, strict=False):
        alike &= (many[row] == experts).all(dim=-1)
    r = x = 0.0 if alike.any() else float("inf")
    for layer, [single] in alone.layers.items():
        one, other = (
            values.double()[alike.to(values.device)]
            for values in (batch.layers[layer][row], single)
        )
        if not (alike.any() and one.isfinite().all() and other.isfinite().all()):
            continue  # the extraction names example and layer of what is not finite
        norm = other.norm(dim=-1).clamp(min=torch.finfo(torch.float64).tiny)
        x = max(x, float(((one - other).norm(dim=-1) / norm).max()))
        r = max(r, float((_correlations(one) - _correlations(other)).abs().max()))
    bound = MOST_UNITS * torch.finfo(dtype).eps
    return Difference(r, x, bound, int((~alike).sum()))


def _correlations(series: Tensor) -> Tensor:
    """Return r of the neurons; of those that are constant, 0."""
    centred = series - series.mean(dim=0)
    norm = centred.norm(dim=0)
    z = torch.where(norm > 0, centred / norm, 0.0)
    return z.T @ z


def decide(padded: list[Difference], equal: Difference | None) -> Together:
    """Return what batches may hold, from what was compared."""
    if all(one.passes for one in padded):
        return Together.like
    return Together.equal if equal is not None and equal.passes else Together.single
