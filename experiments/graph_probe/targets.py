"""What is to be predicted of every text: a number or a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.graph_probe.metrics import CLASSES, NUMBERS, Metric
from probe.api import Document, UserError

# Targets that the model gives, not the data.
SCORES = ("perplexity", "loss")


@dataclass(frozen=True)
class Target:
    """What is known of every text.

    Attributes
    ----------
    name : str
        Its name.
    values : ndarray, shape (n_texts,)
        Numbers (float64, in their own unit), or numbers of classes (int64).
    classes : tuple of str
        Names of the classes; empty for numbers.
    """

    name: str
    values: NDArray[np.float64] | NDArray[np.int64]
    classes: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, Metric]:
        """Return the metrics by name, the one that counts first."""
        return CLASSES if self.classes else NUMBERS

    @property
    def outputs(self) -> int:
        """Return the number of outputs that a probe of it has."""
        return len(self.classes) or 1

    def shuffled(self, seed: int) -> Target:
        """Return the target of other texts."""
        order = np.random.default_rng(seed).permutation(len(self.values))
        return Target(self.name, self.values[order], self.classes)

    def scaled(self, train: NDArray[np.int64]) -> NDArray[np.float64] | NDArray[np.int64]:
        """Return classes as they are, and numbers so that the training part goes from 0 to 1."""
        if self.classes:
            return self.values
        low, high = self.values[train].min(), self.values[train].max()
        scaled: NDArray[np.float64] = (self.values - low) / ((high - low) or 1.0)
        return scaled


def score_target(name: str, perplexity: NDArray[np.float64]) -> Target:
    """Return perplexity (dimensionless) or its logarithm, the loss (nats a token)."""
    return Target(name, perplexity if name == "perplexity" else np.log(perplexity))


def label_target(name: str, documents: Sequence[Document]) -> Target:
    """Return a label of the documents: `subject`, or one that the data brings.

    Texts and truth values are classes. What reads as a number in every document is a number, as
    the cells of a csv are texts.

    Raises
    ------
    UserError
        If a document lacks it, or it does not vary, or a class has fewer than three documents.
    """
    found = [_label(name, document) for document in documents]
    numbers = _numbers(found)
    if numbers is not None:
        if not np.isfinite(numbers).all() or np.ptp(numbers) == 0:
            raise UserError(f"study.targets: '{name}' is to be finite and to vary over the texts")
        return Target(name, numbers)
    words = [str(value) for value in found]
    counts = Counter(words)
    if len(counts) < 2 or min(counts.values()) < 3:
        rare = min(counts, key=lambda word: counts[word])
        raise UserError(
            f"study.targets: '{name}' is to have two classes or more of three texts or more, and "
            f"has {len(counts)}, of which '{rare}' has {counts[rare]}"
        )
    classes = tuple(sorted(counts))
    return Target(name, np.array([classes.index(word) for word in words]), classes)


def _numbers(found: Sequence[str | float | bool]) -> NDArray[np.float64] | None:
    if any(isinstance(value, bool) for value in found):
        return None
    try:
        return np.array([float(value) for value in found])
    except ValueError:
        return None


def _label(name: str, document: Document) -> str | float | bool:
    if name == "subject" and document.subject is not None:
        return document.subject
    if name not in document.labels:
        known = [*SCORES, *(["subject"] if document.subject else []), *document.labels]
        raise UserError(
            f"study.targets: the text {document.name} has no '{name}'; it has {', '.join(known)}"
        )
    return document.labels[name]
