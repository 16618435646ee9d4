"""The tokens that rule a text, and their share in a topology."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.hubs.bases import Correlated


@dataclass(frozen=True)
class Ruling:
    """The tokens that rule one text in one layer.

    Attributes
    ----------
    largest : float
        The largest norm over the text's median, dimensionless.
    positions : list of int
        Tokens that rule, counted from 0.
    strongest : Tensor of float32, shape (n_neurons,)
        The standardised series at the token of the largest norm.
    """

    largest: float
    positions: list[int]
    strongest: Tensor

    @classmethod
    def of(cls, activations: Tensor, ratios: Tensor, above: float) -> "Ruling":
        """Find them among activations (n_tokens, n_neurons), by norms over the median."""
        from probe.api import Factor

        strongest = int(ratios.argmax())
        positions = (ratios > above).nonzero().flatten().tolist()
        series = Factor.of(activations).series[strongest].cpu()
        return cls(float(ratios[strongest]), positions, series)


def share(rulings: Sequence[Ruling], average: Correlated) -> float:
    """Return the share of the strongest tokens in the average topology R, off its diagonal.

    With z the standardised series at a text's strongest token and S the mean of zzᵀ over texts it
    is ⟨S, R⟩ / ⟨R, R⟩: 1 if R is nothing else. Tokens that go against the others make it negative.
    """
    matrix = average.matrix.cpu().double().clone().fill_diagonal_(0)
    z = torch.stack([one.strongest for one in rulings]).double()
    within = (z @ matrix * z).sum() / len(z)
    return float(within / (matrix**2).sum())
