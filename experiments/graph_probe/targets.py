"""Targets of the prediction: a number or a class for every text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.graph_probe.metrics import CLASSES, NUMBERS, Metric
from probe.api import Document, UserError

# Targets computed by the model, not given by the data.
SCORES = ("perplexity", "loss")


@dataclass(frozen=True)
class Target:
    """A target of the prediction.

    Attributes
    ----------
    name : str
        Its name.
    values : ndarray, shape (n_texts,)
        Numbers (float64, in their own unit), or indices of classes (int64).
    classes : tuple of str
        Names of the classes; empty for numbers.
    """

    name: str
    values: NDArray[np.float64] | NDArray[np.int64]
    classes: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, Metric]:
        """Return the metrics by name, the main metric first."""
        return CLASSES if self.classes else NUMBERS

    @property
    def outputs(self) -> int:
        """Return the number of outputs of a probe."""
        return len(self.classes) or 1

    def shuffled(self, seed: int) -> "Target":
        """Return the target permuted over texts."""
        order = np.random.default_rng(seed).permutation(len(self.values))
        return Target(self.name, self.values[order], self.classes)

    def scaled(self, train: NDArray[np.int64]) -> NDArray[np.float64] | NDArray[np.int64]:
        """Return classes unchanged, and numbers scaled to 0 to 1 on the training set."""
        if self.classes:
            return self.values
        low, high = self.values[train].min(), self.values[train].max()
        scaled: NDArray[np.float64] = (self.values - low) / ((high - low) or 1.0)
        return scaled


def score_target(name: str, perplexity: NDArray[np.float64]) -> Target:
    """Return perplexity (dimensionless) or its logarithm, the loss (nats per token)."""
    return Target(name, perplexity if name == "perplexity" else np.log(perplexity))


def label_target(name: str, documents: Sequence[Document]) -> Target:
    """Return a label of the documents: `subject`, or a label of the data.

    Strings and booleans are classes; strings that are numbers in every document, as in the cells of
    a csv, are numbers.

    Raises
    ------
    UserError
        If a document lacks it, or it does not vary, or a class has fewer than three documents.
    """
    labels = [_label(name, document) for document in documents]
    numbers = _numbers(labels)
    if numbers is not None:
        if not np.isfinite(numbers).all() or np.ptp(numbers) == 0:
            raise UserError(f"study.targets: '{name}' must be finite and vary over the texts")
        return Target(name, numbers)
    words = [str(value) for value in labels]
    counts = Counter(words)
    if len(counts) < 2 or min(counts.values()) < 3:
        rare = min(counts, key=lambda word: counts[word])
        raise UserError(
            f"study.targets: '{name}' must have at least two classes of at least three texts, and "
            f"has {len(counts)}, of which '{rare}' has {counts[rare]}"
        )
    classes = tuple(sorted(counts))
    return Target(name, np.array([classes.index(word) for word in words]), classes)


def _numbers(labels: Sequence[str | float | bool]) -> NDArray[np.float64] | None:
    if any(isinstance(value, bool) for value in labels):
        return None
    try:
        return np.array([float(value) for value in labels])
    except ValueError:
        return None


def _label(name: str, document: Document) -> str | float | bool:
    if name == "subject" and document.subject is not None:
        return document.subject
    if name not in document.labels:
        names = [*SCORES, *(["subject"] if document.subject else []), *document.labels]
        raise UserError(
            f"study.targets: the text {document.name} has no '{name}'; it has {', '.join(names)}"
        )
    return document.labels[name]
