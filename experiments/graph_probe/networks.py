"""The probes trained by gradient descent, with the paper's settings."""

from torch import Tensor, nn

from experiments.gcn import Gcn
from experiments.graph_probe.inputs import Features, Graphs, Input
from experiments.graph_probe.ridge import moments

# Zheng et al. 2025: width of the MLP's hidden layer and of the GCN's nodes, learning rates.
WIDTH = 32
RATE, LINEAR_RATE = 1e-3, 1e-5


class Reader(nn.Module):
    """A network that looks its inputs up by the indices of texts."""

    network: nn.Module

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the outputs for some texts, shape (n_chosen, n_outputs)."""
        raise NotImplementedError


class VectorReader(Reader):
    """Reads features, which are standardised over the training set unless they are correlations.

    Parameters
    ----------
    network : nn.Module
        Maps (n_texts, width) to (n_texts, n_outputs).
    features : Features
        Its inputs.
    train : Tensor of int64
        Indices of the training set, or None for correlations.
    """

    def __init__(self, network: nn.Module, features: Features, train: Tensor | None) -> None:
        super().__init__()
        self.network, self.features = network, features
        self.scaling: tuple[Tensor, Tensor] | None = None
        if train is not None:
            mean, deviation = moments(features, train)
            self.scaling = mean.float(), deviation.float()

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the outputs for some texts."""
        rows = self.features.rows(numbers)
        if self.scaling is not None:
            rows = (rows - self.scaling[0]) / self.scaling[1]
        outputs: Tensor = self.network(rows.to(next(self.network.parameters()).device))
        return outputs


class GraphReader(Reader):
    """Reads graphs.

    Parameters
    ----------
    network : nn.Module
        Maps a batch of graphs to (n_texts, n_outputs).
    graphs : Graphs
        Its inputs.
    """

    def __init__(self, network: nn.Module, graphs: Graphs) -> None:
        super().__init__()
        self.network, self.graphs = network, graphs

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the outputs for some texts."""
        device = next(self.network.parameters()).device
        outputs: Tensor = self.network(self.graphs.batch(numbers, device))
        return outputs


def make_reader(probe: str, one: Input, outputs: int, train: Tensor, gcn_layers: int) -> Reader:
    """Return an untrained probe of an input: linear, mlp or gcn."""
    if probe == "gcn":
        assert one.graphs is not None, f"{one.name} is not a graph"
        neurons = one.graphs.series[0].shape[1]
        return GraphReader(Gcn(neurons, WIDTH, gcn_layers, outputs), one.graphs)
    width = one.features.width
    network: nn.Module = nn.Linear(width, outputs)
    if probe == "mlp":
        network = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))
    return VectorReader(network, one.features, None if one.correlations else train)


def learning_rate(probe: str, one: Input) -> float:
    """Return the paper's learning rate: lower for linear probes of whole matrices."""
    return LINEAR_RATE if probe == "linear" and one.graphs is not None else RATE
