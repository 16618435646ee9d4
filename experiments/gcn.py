"""A graph convolutional network over neurons, for topologies or their factors."""

import torch
from torch import Tensor, nn

from probe.api import Graph, quickest


class Gcn(nn.Module):
    r"""Predict numbers from the topology of a text (Zheng et al. 2025, arXiv:2506.01042).

    Every neuron has a learned embedding, `Φ₀`. A layer propagates it along the edges,
    `Φ = ReLU(A Φ Θ)`. Mean and maximum over the neurons are concatenated and passed to a multilayer
    perceptron with one hidden layer. Neurons that are undefined in a text have no edges and enter
    both poolings as zeros.

    Parameters
    ----------
    n_neurons : int
        Nodes of every graph.
    width : int
        Width `d` of embeddings and hidden layers.
    layers : int
        Number of convolutions.
    outputs : int
        Numbers to predict.
    """

    def __init__(self, n_neurons: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(n_neurons, width))
        # Scales down with the number of neurons, over which a product with A sums.
        nn.init.xavier_uniform_(self.embedding)
        self.mixing = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, graph: Graph) -> Tensor:
        """Return the predictions, (n_examples, outputs), for a batch of graphs.

        A `Factor` is used as it is, or turned into matrices if that is faster.
        """
        width = self.embedding.shape[1]
        # Each product with A is repeated in the backward pass.
        graph = quickest(graph, width, len(self.mixing) * (1 + torch.is_grad_enabled()))
        values: Tensor = self.embedding
        for mix in self.mixing:
            values = torch.relu(mix(graph.propagate(values)))
        pooled = torch.cat([values.mean(dim=-2), values.amax(dim=-2)], dim=-1)
        predicted: Tensor = self.head(pooled)
        return predicted
