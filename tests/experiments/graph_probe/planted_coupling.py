"""Texts whose neurons' coupling encodes a number, and nothing else does."""

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.graph_probe.texts import Readings, Texts
from probe.api import Document

TEXTS, NEURONS, LENGTH = 360, 32, 64


def planted(seed: int = 0) -> tuple[Texts, Readings, Readings, Readings, NDArray[np.float64]]:
    """Return texts, what a layer, embeddings and a random model do over them, and the number.

    A common cause of all neurons takes a share of their variance, which is the number, so that
    every correlation is it. Scales and means are drawn for every text and neuron by themselves,
    over so many orders of magnitude that a covariance tells of the scales alone.
    """
    generator = np.random.default_rng(seed)
    number = generator.uniform(0.05, 0.95, TEXTS)
    texts = Texts(
        [Document(f"text/{n // 2}", "") for n in range(TEXTS)],
        [generator.integers(0, 40, generator.integers(20, 60)) for _ in range(TEXTS)],
    )
    shares = [number, *(generator.permutation(number) for _ in range(2))]
    coupled = ([_series(generator, share) for share in of_text] for of_text in shares)
    layer, embeddings, random = (_readings(generator, series) for series in coupled)
    return texts, layer, embeddings, random, number


def _series(generator: np.random.Generator, share: float) -> torch.Tensor:
    """Return series of length 1, of which every two have the correlation `share`."""
    own, _ = np.linalg.qr(generator.normal(size=(LENGTH, NEURONS + 1)))
    mixed = np.sqrt(share) * own[:, :1] + np.sqrt(1 - share) * own[:, 1:]
    return torch.from_numpy(mixed).float()


def _readings(generator: np.random.Generator, series: list[torch.Tensor]) -> Readings:
    deviation = torch.from_numpy(np.exp(generator.normal(0, 2, (TEXTS, NEURONS)))).float()
    last, mean = torch.from_numpy(generator.normal(size=(2, TEXTS, NEURONS))).float()
    return Readings(last, mean, deviation, series)
