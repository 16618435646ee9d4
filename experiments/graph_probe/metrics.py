"""Metrics of probes: five for numbers, three for classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Called with the truth, (n_texts,), and predictions, (n_texts,) or (n_texts, n_classes).
Metric = Callable[[Any, Floats], float]


def mse(truth: Floats, predicted: Floats) -> float:
    """Return the mean squared error, in the squared unit of the target."""
    return float(np.mean((truth - predicted) ** 2))


def mae(truth: Floats, predicted: Floats) -> float:
    """Return the mean absolute error, in the unit of the target."""
    return float(np.mean(np.abs(truth - predicted)))


def r2(truth: Floats, predicted: Floats) -> float:
    """Return the fraction of variance explained; below 0 if the mean predicts better.

    NaN if the truth does not vary.

    Examples
    --------
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0]))
    0.5
    """
    spread = np.sum((truth - truth.mean()) ** 2)
    if not spread:
        return float("nan")
    return float(1 - np.sum((truth - predicted) ** 2) / spread)


def pearson(truth: Floats, predicted: Floats) -> float:
    """Return Pearson's correlation; NaN if one of the two does not vary."""
    x, y = truth - truth.mean(), predicted - predicted.mean()
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y / lengths) if lengths > 0 else float("nan")


def spearman(truth: Floats, predicted: Floats) -> float:
    """Return the correlation of ranks; NaN if one of the two does not vary."""
    return pearson(_ranks(truth, truth), _ranks(predicted, predicted))


def accuracy(truth: NDArray[np.int64], scores: Floats) -> float:
    """Return the share of texts whose class has the highest score."""
    return float(np.mean(scores.argmax(axis=1) == truth))


def macro_f1(truth: NDArray[np.int64], scores: Floats) -> float:
    """Return F1, averaged over the classes that occur in truth or prediction."""
    predicted = scores.argmax(axis=1)
    hits, of_truth, of_predicted = (
        np.bincount(classes, minlength=scores.shape[1])
        for classes in (truth[truth == predicted], truth, predicted)
    )
    occur = of_truth + of_predicted
    return float(np.mean(2 * hits[occur > 0] / occur[occur > 0]))


def macro_auc(truth: NDArray[np.int64], scores: Floats) -> float:
    """Return the one-against-rest area under the ROC curve, averaged over the classes that occur.

    The share of pairs of a text of the class and another text that the score ranks correctly
    (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747); NaN if only one class occurs.
    """
    areas = []
    for one, count in enumerate(np.bincount(truth)):
        others = len(truth) - count
        if count and others:
            ranks = _ranks(scores[truth == one, one], scores[:, one]).sum()
            areas.append((ranks - count * (count + 1) / 2) / (count * others))
    return float(np.mean(areas)) if areas else float("nan")


def _ranks(values: Floats, among: Floats) -> Floats:
    """Return the ranks of some values among all, from 1; ties share their mean rank.

    A bootstrap ranks a hundred thousand times, and this is much faster than `scipy.stats.rankdata`.
    """
    ordered = np.sort(among)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + up_to + 1) / 2, dtype=np.float64)


NUMBERS: dict[str, Metric] = {
    "r2": r2,
    "mse": mse,
    "mae": mae,
    "pearson": pearson,
    "spearman": spearman,
}
CLASSES: dict[str, Metric] = {"auc": macro_auc, "accuracy": accuracy, "f1": macro_f1}
