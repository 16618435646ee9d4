"""Each text's standardised series, mean and last activation, by layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from probe.api import Config, ExampleActivations, Factor, iterate


@dataclass(frozen=True)
class Layer:
    """A layer over all texts.

    Attributes
    ----------
    series : list of Tensor, each of shape (n_tokens, n_neurons)
        Standardised series of each text: `Z.T @ Z` is its topology.
    mean, last : ndarray of float64, shape (n_texts, n_neurons)
        Mean activation over the tokens, and activation at the last token.
    """

    series: list[Tensor]
    mean: NDArray[np.float64]
    last: NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """A model's activations over all texts.

    Attributes
    ----------
    names : list of str
        Name of each text's document.
    lengths : list of int
        Number of tokens of each text.
    layers : mapping of int to Layer
        By layer number.
    """

    names: list[str]
    lengths: list[int]
    layers: Mapping[int, Layer]


def read(config: Config) -> Reading:
    """Read every text once."""
    examples = sorted(map(_condense, iterate(config)), key=lambda example: example[0].example)
    layers = {
        number: Layer(
            series=[parts[number][0] for _, parts in examples],
            mean=np.stack([parts[number][1] for _, parts in examples]),
            last=np.stack([parts[number][2] for _, parts in examples]),
        )
        for number in examples[0][1]
    }
    return Reading(
        names=[example.document for example, _ in examples],
        lengths=[len(example.tokens) for example, _ in examples],
        layers=layers,
    )


_Parts = dict[int, tuple[Tensor, NDArray[np.float64], NDArray[np.float64]]]


def _condense(example: ExampleActivations) -> tuple[ExampleActivations, _Parts]:
    parts: _Parts = {}
    for number, activations in example.layers.items():
        mean = activations.double().mean(dim=0).cpu().numpy()
        last = activations[-1].double().cpu().numpy()
        parts[number] = (Factor.of(activations).series, mean, last)
    return replace(example, layers={}), parts
