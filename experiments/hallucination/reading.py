"""Each text's standardised series, mean and last activation, by layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.api import Config, UnitSeries, series
from probe.api.parts import this_rank


@dataclass(frozen=True)
class Layer:
    """A layer over all texts.

    Attributes
    ----------
    series : UnitSeries
        Standardised series of each text: `Z.T @ Z` is its topology.
    mean, last : ndarray of float64, shape (n_texts, n_neurons)
        Mean activation over the tokens, and activation at the last token.
    """

    series: UnitSeries
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
    store, device = series(config), this_rank(config.runtime.device).device
    return Reading(
        names=[example.document for example in store.examples],
        lengths=[example.n_tokens for example in store.examples],
        layers={
            number: Layer(
                series=UnitSeries(store.layer(number), device),
                mean=np.stack([one.mean(axis=0, dtype=np.float64) for one in store.layer(number)]),
                last=np.stack([one[-1].astype(np.float64) for one in store.layer(number)]),
            )
            for number in store.layers
        },
    )
