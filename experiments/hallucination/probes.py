"""Linear probes with two outputs, true and false, in their dual form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import rankdata

# Relative to the mean squared length of the centred vectors of the training set.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Scores:
    """The outputs of a probe on the test set.

    Attributes
    ----------
    values : ndarray of float64, shape (n_labellings, n_test)
        The output for true less that for false; positive where the probe predicts true.
    penalty : float
        The penalty selected on the validation set for the first labelling.
    """

    values: NDArray[np.float64]
    penalty: float


def probe(
    gram: NDArray[np.float64],
    labels: NDArray[np.bool_],
    parts: Sequence[NDArray[np.int64]],
) -> Scores:
    """Fit ridge regressions to labels, select a penalty, and score the test set.

    The difference of two outputs, regressed onto two opposite indicators, equals one regression
    onto 1 (true) and -1 (false), which is what is fitted. Its weights are a combination of the
    training texts, `(K + λ)⁻¹ y` with their centred products `K` (Saunders, Gammerman & Vovk 1998,
    Ridge regression learning algorithm in dual variables).

    Parameters
    ----------
    gram : ndarray of float64, shape (n_texts, n_texts)
        Inner products of the texts' vectors.
    labels : ndarray of bool, shape (n_labellings, n_texts)
        Labels of all texts; every labelling selects its own penalty, as a null model must.
    parts : sequence of three ndarray of int
        Indices of training, validation and test set.
    """
    train, validation, test = parts
    targets = np.where(labels[:, train], 1.0, -1.0).T
    offset = targets.mean(axis=0)
    centred = _Centred(gram, train)
    kernel = centred(train)
    scale = float(np.trace(kernel)) / len(train) or 1.0
    on_validation, on_test = centred(validation), centred(test)
    best, penalties = np.full(len(labels), -np.inf), np.full(len(labels), PENALTIES[0])
    values = np.empty((len(labels), len(test)))
    for penalty in PENALTIES:
        ridge = kernel + penalty * scale * np.eye(len(train))
        weights = cho_solve(cho_factor(ridge, overwrite_a=True), targets - offset)
        scores = (on_validation @ weights).T
        quality = np.array([auc(*one) for one in zip(scores, labels[:, validation], strict=True)])
        better = quality > best
        best[better], penalties[better] = quality[better], penalty
        values[better] = (offset + on_test @ weights).T[better]
    return Scores(values, float(penalties[0]))


class _Centred:
    """Products of vectors centred on the mean of the training set."""

    def __init__(self, gram: NDArray[np.float64], train: NDArray[np.int64]) -> None:
        self.gram, self.train = gram, train
        self.means = gram[np.ix_(train, train)].mean(axis=0)

    def __call__(self, members: NDArray[np.int64]) -> NDArray[np.float64]:
        block = self.gram[np.ix_(members, self.train)]
        centred: NDArray[np.float64] = (
            block - block.mean(axis=1, keepdims=True) - self.means + self.means.mean()
        )
        return centred


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: the share of pairs of true and false ranked correctly.

    Ties count half (Mann & Whitney 1947); NaN if one class is missing.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True]))
    0.875
    """
    n_true = int(truth.sum())
    n_false = len(truth) - n_true
    if not n_true or not n_false:
        return float("nan")
    ranks = rankdata(scores)[truth].sum()
    return float((ranks - n_true * (n_true + 1) / 2) / (n_true * n_false))


def accuracy(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the share of texts whose score has the right sign."""
    return float(((scores > 0) == truth).mean())
