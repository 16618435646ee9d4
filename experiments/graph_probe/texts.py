"""The texts and the activations of the model's neurons over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.documents import Documents
from experiments.graph_probe.settings import GraphProbeConfig
from probe.api import (
    Config,
    Document,
    ExampleActivations,
    Factor,
    iterate,
    overlay,
)  # fmt: skip


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
    series : list of Tensor of float32, each of shape (n_tokens, n_neurons)
        Standardised series: centred, of length 1, and zero for a constant neuron.
    """

    last: Tensor
    mean: Tensor
    deviation: Tensor
    series: list[Tensor]


def layer_numbers(config: GraphProbeConfig) -> list[int]:
    """Return the selected layers; one batch is read to count those of the model.

    Raises
    ------
    UserError
        If the model lacks one.
    """
    [first] = islice(iterate(config), 1)
    return sorted(first.layers)


def of_layer(config: Config, layer: int) -> Config:
    """Return the configuration that reads one layer."""
    return overlay(config, [f"layers={layer}"])


def read(config: Config) -> tuple[Texts, Readings]:
    """Read the single layer of a configuration over all examples."""
    documents = Documents(config)
    examples = sorted(_condense(iterate(config)), key=lambda one: one[0])
    _, names, tokens, last, mean, deviation, series = zip(*examples, strict=True)
    texts = Texts([documents[name] for name in names], list(tokens))
    stacked = torch.stack(last), torch.stack(mean), torch.stack(deviation)
    return texts, Readings(*stacked, list(series))


def _condense(
    examples: Iterator[ExampleActivations],
) -> Iterator[tuple[int, str, NDArray[np.int64], Tensor, Tensor, Tensor, Tensor]]:
    """Yield what is needed of each example, on the CPU."""
    for one in examples:
        [activations] = (layer.float() for layer in one.layers.values())
        if activations.device.type == "mps":  # has no float64
            activations = activations.cpu()
        deviation, mean = torch.std_mean(activations.double(), dim=0, correction=0)
        yield (
            one.example, one.document, one.tokens.cpu().numpy(), activations[-1].cpu(),
            mean.float().cpu(), deviation.float().cpu(), Factor.of(activations).series.cpu(),
        )  # fmt: skip
