"""The texts and the activations of the model's neurons over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.documents import Documents
from probe.api import (
    Config,
    Document,
    SeriesStore,
    UnitSeries,
)


@dataclass(frozen=True)
class Texts:
    """The examples.

    Attributes
    ----------
    documents : list of Document
        The document of each example.
    tokens : list of ndarray of int64
        Their token ids.
    """

    documents: list[Document]
    tokens: list[NDArray[np.int64]]

    @property
    def groups(self) -> list[str]:
        """Return the group of each: its question, or its document."""
        return [document.group or document.name for document in self.documents]


@dataclass(frozen=True)
class Readings:
    """The activations of one layer over every text.

    Attributes
    ----------
    last, mean, deviation : Tensor of float32, shape (n_texts, n_neurons)
        Activation at the last token, its mean and its standard deviation over the tokens.
    series : sequence of Tensor of float32, each of shape (n_tokens, n_neurons)
        Standardised series: centred, of length 1, and zero for a constant neuron.
    """

    last: Tensor
    mean: Tensor
    deviation: Tensor
    series: Sequence[Tensor]


def read_texts(store: SeriesStore, config: Config) -> Texts:
    """Return the texts of a store that was read with a configuration."""
    documents = Documents(config)
    return Texts(
        [documents[example.document] for example in store.examples],
        [store.tokens(example.example) for example in store.examples],
    )


def read_layer(store: SeriesStore, layer: int) -> Readings:
    """Return the activations of a layer; its series stay on disk until they are asked for."""
    last, mean, deviation = [], [], []
    for activations in map(torch.from_numpy, store.layer(layer)):
        sd, average = torch.std_mean(activations.double(), dim=0, correction=0)
        last.append(activations[-1])
        mean.append(average.float())
        deviation.append(sd.float())
    stacked = torch.stack(last), torch.stack(mean), torch.stack(deviation)
    return Readings(*stacked, UnitSeries(store.layer(layer)))
