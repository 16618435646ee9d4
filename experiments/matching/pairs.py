"""GAUC of the two models, against controls that lack a second trained model."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.controls import embeddings, random_weights
from experiments.matching.assignment import Matrix
from experiments.matching.contrastive import fit
from experiments.matching.gauc import gauc_by_text, length_similarity, permuted_gauc
from experiments.matching.settings import Matching, MatchingConfig
from experiments.matching.texts import Side, Text, read
from experiments.statistics import bootstrap, paired_difference, permutation_p

logger = logging.getLogger(__name__)
Numbers = NDArray[np.int64]
_LITTLE = 2  # passes after which an encoder is nearly untrained
RANDOM_FIRST, RANDOM_SECOND = "random first model", "random second model"
EMBEDDINGS = ("embeddings of the first model", "embeddings of the second model")
SELF, PAIR = "first model, itself", "first model, second model"


@dataclass(frozen=True)
class Models:
    """Two models and their series over the same texts.

    Attributes
    ----------
    first, second : MatchingConfig
        The models.
    one, other : Side
        Their series.
    texts : sequence of Text
        All texts.
    parts : sequence of three ndarray of int
        Indices into `numbers` of training, validation and test set.
    numbers : list of int
        Indices of the texts that both models can read.
    averages : dict of str to ndarray of float64, shape (n_neurons, n_neurons)
        Average topology of each control read so far, by name.
    """

    first: MatchingConfig
    second: MatchingConfig
    one: Side
    other: Side
    texts: Sequence[Text]
    parts: Sequence[Numbers]
    numbers: list[int]
    averages: dict[str, Matrix] = field(default_factory=dict)

    def part(self, place: int) -> list[int]:
        """Return the indices of the texts of a part."""
        return [self.numbers[number] for number in self.parts[place]]

    def read(self, name: str, config: MatchingConfig) -> Side:
        """Read the same texts with another model that shares a tokenizer with one of the two."""
        side = read(name, config, self.texts, self.numbers)
        self.averages[name] = side.average(self.numbers)
        return side

    def random_first(self) -> Side:
        """Read the texts with the first model's architecture and random weights."""
        # Seeds of neither of the two models.
        return self.read(RANDOM_FIRST, random_weights(self.first, self._seed() + 1))

    def random_second(self) -> Side:
        """Read the texts with the second model's architecture and random weights."""
        return self.read(RANDOM_SECOND, random_weights(self.second, self._seed() + 2))

    def embeddings(self) -> tuple[Side, Side]:
        """Read the token embeddings of both models."""
        first, second = embeddings(self.first), embeddings(self.second)
        return self.read(EMBEDDINGS[0], first), self.read(EMBEDDINGS[1], second)

    def _seed(self) -> int:
        return max(self.first.init.seed, self.second.init.seed)


def match_pairs(models: Models, settings: Matching) -> list[dict[str, Any]]:
    """Train and test encoders for the two models and for each control.

    Returns
    -------
    list of dict
        Rows of the table: the pair, GAUC with its interval over documents, GAUC of permuted texts,
        and how much the two models are above this control.
    """
    test = models.part(2)
    groups = [models.texts[number].group for number in test]
    areas: dict[str, NDArray[np.float64]] = {}
    nulls: dict[str, list[float]] = {}
    epochs: dict[str, int | None] = {}
    for name, similarity, trained in _similarities(models, settings, test):
        areas[name], epochs[name] = gauc_by_text(similarity), trained
        nulls[name] = permuted_gauc(similarity, settings.repetitions, settings.seed)
        logger.info("%s: GAUC %.3f", name, areas[name].mean())
        if trained is not None and trained <= _LITTLE:
            logger.warning(
                "%s: no gain after pass %d, so the encoders have learned nothing that generalises; "
                "try more texts, or another study.rate and study.patience",
                name, trained,
            )  # fmt: skip
    rows = []
    for name, area in areas.items():
        value = float(area.mean())
        low, high = bootstrap(_mean(area), groups, settings.seed, settings.repetitions)
        less: tuple[float | None, ...] = (None, None, None)
        if name not in (SELF, PAIR):
            less = paired_difference(
                _mean(areas[PAIR]), _mean(area), groups, settings.seed, settings.repetitions
            )
        rows.append(
            {
                "pair": name, "gauc": value, "low": low, "high": high,
                "permuted": float(np.mean(nulls[name])), "p": permutation_p(value, nulls[name]),
                "less": less[0], "less_low": less[1], "less_high": less[2],
                "epochs": epochs[name], "texts": len(test), "documents": len(set(groups)),
            }
        )  # fmt: skip
    return rows


def _similarities(
    models: Models, settings: Matching, test: Sequence[int]
) -> Iterator[tuple[str, NDArray[np.float64], int | None]]:
    """Yield each pair with the similarities of the test set and the passes it was trained."""

    def pairs() -> Iterator[tuple[str, tuple[Side, Side]]]:
        yield SELF, (models.one, models.one)
        yield PAIR, (models.one, models.other)
        random = models.random_second()
        yield "first model, random second model", (models.one, random)
        yield "random first model, random second model", (models.random_first(), random)
        yield "token embeddings of both", models.embeddings()

    for name, sides in pairs():
        matcher = fit(sides, models.part(0), models.part(1), settings)
        yield name, matcher.similarity(sides, test, settings.batch), matcher.epochs
    lengths = [[len(side.series[number]) for number in test] for side in (models.one, models.other)]
    yield "numbers of tokens alone", length_similarity(*lengths), None


def _mean(values: NDArray[np.float64]) -> Callable[[Numbers], float]:
    return lambda numbers: float(values[numbers].mean())
