"""Sources of features, one after the other: topologies, activations, and controls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.controls import embeddings, untrained
from experiments.hallucination.answers import Answers
from experiments.hallucination.products import (
    Products,
    products_of_features,
    products_of_topologies,
)
from experiments.hallucination.reading import Reading, read
from experiments.hallucination.settings import HallucinationConfig

TOPOLOGY = "topology"


@dataclass(frozen=True)
class Source:
    """Features of all texts.

    Attributes
    ----------
    name : str
        Its name, e.g. `topology` or `topology, random init 0`.
    layer : int or None
        Layer of the model, if it has one.
    control : bool
        Whether it needs no trained model.
    coupled : bool
        Whether correlations between two texts' features, and so a coupling index, make sense.
    products : Products
        Products of the features.
    """

    name: str
    layer: int | None
    control: bool
    coupled: bool
    products: Products


def sources(
    config: HallucinationConfig,
    reading: Reading,
    answers: Answers,
    train: NDArray[np.int64],
) -> Iterator[Source]:
    """Yield every source; only one at a time needs to be in memory."""
    for number, layer in reading.layers.items():
        topologies = products_of_topologies(layer.series)
        yield Source(TOPOLOGY, number, control=False, coupled=True, products=topologies)
        for name, features in (("mean activation", layer.mean), ("last token", layer.last)):
            products = products_of_features(scaled(features, train))
            yield Source(name, number, control=False, coupled=False, products=products)
    yield from _text_controls(config, reading, answers, train)
    for random in untrained(config, config.study.inits):
        name = f"topology, random init {random.init.seed}"
        for number, layer in read(random).layers.items():
            products = products_of_topologies(layer.series)
            yield Source(name, number, control=True, coupled=True, products=products)


def _text_controls(
    config: HallucinationConfig, reading: Reading, answers: Answers, train: NDArray[np.int64]
) -> Iterator[Source]:
    [layer] = read(embeddings(config)).layers.values()
    products = products_of_topologies(layer.series)
    yield Source("topology, token embeddings", None, control=True, coupled=True, products=products)
    products = products_of_features(bags(answers.tokens))
    yield Source("bag of answer tokens", None, control=True, coupled=True, products=products)
    lengths = np.array([reading.lengths, [len(ids) for ids in answers.tokens]], dtype=np.float64).T
    products = products_of_features(scaled(lengths, train))
    yield Source("length", None, control=True, coupled=False, products=products)


def bags(tokens: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Count each token in each answer.

    Examples
    --------
    >>> bags([[7, 3, 7], [5]])
    array([[1., 0., 2.],
           [0., 1., 0.]])
    """
    vocabulary, columns = np.unique(
        np.concatenate([list(ids) for ids in tokens]), return_inverse=True
    )
    rows = np.repeat(np.arange(len(tokens)), [len(ids) for ids in tokens])
    counts = np.zeros((len(tokens), len(vocabulary)))
    np.add.at(counts, (rows, columns), 1)
    return counts


def scaled(features: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Standardise features by their mean and deviation over the training set."""
    spread = features[train].std(axis=0)
    centred = features - features[train].mean(axis=0)
    unit: NDArray[np.float64] = centred / np.where(spread > 0, spread, 1)
    return unit
