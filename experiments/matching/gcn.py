"""A graph convolutional network over neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Topologies:
    """Topologies of a batch of texts, kept as their standardised series.

    Attributes
    ----------
    series : Tensor, shape (n_texts, n_tokens, n_neurons)
        `Z`; rows of padding are 0, and so add nothing to `A = Zᵀ Z`.
    """

    series: Tensor

    @classmethod
    def stack(cls, series: Sequence[Tensor]) -> Topologies:
        """Put texts together, each (n_tokens, n_neurons)."""
        return cls(nn.utils.rnn.pad_sequence(list(series), batch_first=True))

    def propagate(self, values: Tensor) -> Tensor:
        """Multiply with `A` without forming it: `Zᵀ (Z V)`, (n_texts, n_neurons, width)."""
        return self.series.mT @ (self.series @ values)


class Gcn(nn.Module):
    r"""Make numbers of a topology (Zheng et al. 2025, arXiv:2506.01042).

    Every neuron starts with a learned embedding of its own; a layer sends it along the edges,
    `Φ = ReLU(A Φ Θ)`. Mean and maximum over the neurons, side by side, go through a perceptron
    with one hidden layer.

    Parameters
    ----------
    n_neurons : int
        Nodes of every graph.
    width : int
        Width of embeddings and hidden layers.
    layers : int
        Number of convolutions.
    outputs : int
        Numbers to make.
    """

    def __init__(self, n_neurons: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(n_neurons, width))
        # Small where there are many neurons, as a product with A sums over all of them.
        nn.init.xavier_uniform_(self.embedding)
        self.mixing = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, graph: Topologies) -> Tensor:
        """Return the numbers, (n_texts, outputs)."""
        values: Tensor = self.embedding
        for mix in self.mixing:
            values = torch.relu(mix(graph.propagate(values)))
        made: Tensor = self.head(torch.cat([values.mean(dim=-2), values.amax(dim=-2)], dim=-1))
        return made
