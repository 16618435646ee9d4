"""Inputs of probes: features, topologies and their controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, overload

import numpy as np
import torch
from torch import Tensor

from experiments.graph_probe.texts import Readings, Texts
from probe.api import Factor, Graph, Sparse, sparsify

# Features kept in memory; beyond that, they are computed for every batch.
_KEPT = 1 << 28
# A token is a feature if at least this many texts have it.
_LEAST_TEXTS = 2


class Features(Protocol):
    """One input over all texts."""

    @property
    def n_texts(self) -> int:
        """Number of texts."""

    @property
    def width(self) -> int:
        """Number of features per text."""

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the features of some texts, float32, shape (n_chosen, width)."""


@dataclass(frozen=True)
class Vectors:
    """Features in memory, shape (n_texts, width)."""

    matrix: Tensor

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return len(self.matrix)

    @property
    def width(self) -> int:
        """Number of features per text."""
        return self.matrix.shape[1]

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the features of some texts."""
        return self.matrix[numbers]


@dataclass(frozen=True)
class Graphs:
    """Every text's graph of neurons, computed from its series on demand.

    Attributes
    ----------
    series : sequence of Tensor, each of shape (n_tokens, n_neurons)
        Series of length 1, whose products are correlations, or of another length.
    density : float
        Fraction of entries kept, by the paper's rule.
    diagonal : bool
        Whether the diagonal is informative; that of correlations is 1.
    """

    series: Sequence[Tensor]
    density: float = 1.0
    diagonal: bool = False

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return len(self.series)

    @property
    def width(self) -> int:
        """Number of features per text."""
        neurons = self.series[0].shape[1]
        return neurons * (neurons + 1 if self.diagonal else neurons - 1) // 2

    def dense(self, numbers: Tensor) -> Tensor:
        """Return the graphs of some texts, shape (n_chosen, n_neurons, n_neurons)."""
        return torch.stack([self._graph(self.series[number]) for number in numbers.tolist()])

    def batch(self, numbers: Tensor, device: torch.device) -> Graph:
        """Return the graphs of some texts, for a network on a device."""
        if self.density < 1:
            stacked = Sparse.stack([self._sparse[number] for number in numbers.tolist()])
            return Sparse(stacked.matrix.to(device), stacked.n_neurons)
        factors = [Factor(self.series[number]) for number in numbers.tolist()]
        return Factor.stack(factors).to(device)

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the upper triangles of some texts, flattened."""
        dense = self.dense(numbers)
        neurons = dense.shape[-1]
        first, second = torch.triu_indices(neurons, neurons, offset=0 if self.diagonal else 1)
        return dense[:, first, second]

    @cached_property
    def _sparse(self) -> list[Sparse]:
        # Sorting the entries for every batch would take longer than the training.
        return [Sparse.of(Factor(series), self.density) for series in self.series]

    def _graph(self, series: Tensor) -> Tensor:
        dense = series.T @ series
        if self.density < 1:
            sparse = sparsify(dense.cpu().numpy(), self.density, "paper")
            dense = torch.from_numpy(sparse).to(dense.device)
        if not self.diagonal:
            dense.fill_diagonal_(1)
        return dense


@dataclass(frozen=True)
class Scaled(Sequence[Tensor]):
    """Series times a factor for each text and neuron, shape (n_texts, n_neurons)."""

    series: Sequence[Tensor]
    factors: Tensor

    def __len__(self) -> int:
        return len(self.series)

    @overload
    def __getitem__(self, number: int) -> Tensor: ...

    @overload
    def __getitem__(self, number: slice) -> "Scaled": ...

    def __getitem__(self, number: int | slice) -> "Tensor | Scaled":
        """Scale the series of a text, or choose some of them."""
        if isinstance(number, slice):
            return Scaled(self.series[number], self.factors[number])
        return self.series[number] * self.factors[number]


@dataclass(frozen=True)
class Input:
    """An input of a probe.

    Attributes
    ----------
    name : str
        Its name.
    features : Features
        As vectors.
    graphs : Graphs, optional
        As graphs, if it is one.
    density : float
        Fraction of the graph's entries kept.
    claim : bool
        Whether the claim is about it; otherwise it is a control.
    shuffled : bool
        Whether it predicts the targets of other texts.
    """

    name: str
    features: Features
    graphs: Graphs | None = None
    density: float = 1.0
    claim: bool = False
    shuffled: bool = False

    @property
    def correlations(self) -> bool:
        """Whether the features are correlations, which have a common scale."""
        return self.graphs is not None and not self.graphs.diagonal


def plain_inputs(texts: Texts) -> list[Input]:
    """Return the inputs that need no model: length and token frequencies."""
    length = torch.tensor([[float(len(tokens)), 0.0] for tokens in texts.tokens])
    length[:, 1] = length[:, 0].log()
    return [Input("length", Vectors(length)), Input("bag_of_tokens", Vectors(_bag(texts)))]


def embedding_inputs(readings: Readings) -> list[Input]:
    """Return the topology of the token embeddings."""
    return [_graph_input("embedding_topology", Graphs(readings.series))]


def random_inputs(readings: Readings) -> list[Input]:
    """Return the topology of a model with random weights."""
    return [_graph_input("random_topology", Graphs(readings.series))]


def layer_inputs(readings: Readings, densities: Sequence[float]) -> list[Input]:
    """Return a layer's topologies and the other features of its activations."""
    whole = _graph_input("topology", Graphs(readings.series), claim=True)
    sparse = [
        _graph_input("topology", Graphs(readings.series, density), claim=True)
        for density in densities
        if density < 1
    ]
    # Z is centred and of length 1, so a covariance is r σ σ'. σ is relative to the neuron's typical
    # deviation, as a few neurons vary many times more than the others.
    typical = readings.deviation.square().mean(dim=0).sqrt()
    sigmas = readings.deviation / typical.masked_fill(typical == 0, 1)
    scaled = Scaled(readings.series, sigmas)
    both = torch.cat([readings.mean, readings.deviation], dim=1)
    return [
        Input("last_token", Vectors(readings.last)),
        Input("mean_activation", Vectors(readings.mean)),
        Input("mean_and_deviation", Vectors(both)),
        _graph_input("covariance", Graphs(scaled, diagonal=True)),
        whole,
        *sparse,
        Input("shuffled_targets", whole.features, whole.graphs, shuffled=True),
    ]


def _graph_input(name: str, graphs: Graphs, claim: bool = False) -> Input:
    """Return graphs as an input, with their triangles in memory if they fit."""
    features: Features = graphs
    if graphs.n_texts * graphs.width <= _KEPT:
        features = Vectors(graphs.rows(torch.arange(graphs.n_texts)))
    return Input(name, features, graphs, graphs.density, claim)


def _bag(texts: Texts) -> Tensor:
    """Return the relative frequency in each text of the tokens that several texts have."""
    vocabulary, codes = np.unique(np.concatenate(texts.tokens), return_inverse=True)
    ends = np.cumsum([len(tokens) for tokens in texts.tokens])[:-1]
    shares = np.stack(
        [
            np.bincount(part, minlength=len(vocabulary)).astype(np.float32) / len(part)
            for part in np.split(codes, ends)
        ]
    )
    common = (shares > 0).sum(axis=0) >= _LEAST_TEXTS
    return torch.from_numpy(shares[:, common])
