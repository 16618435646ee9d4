"""Linear probes with two outputs, true and false, in their dual form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import rankdata

# Relative to the mean squared length of the centred vectors of the texts to train on.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Scores:
    """What a probe says of the texts to test on.

    Attributes
    ----------
    values : ndarray of float64, shape (n_labellings, n_test)
        The output for true less that for false; positive where it says true.
    penalty : float
        The penalty that the texts to choose by have chosen for the first labelling.
    """

    values: NDArray[np.float64]
    penalty: float


def probe(
    gram: NDArray[np.float64],
    labels: NDArray[np.bool_],
    parts: Sequence[NDArray[np.int64]],
) -> Scores:
    """Fit ridge regressions to labels, choose a penalty, and score the texts to test on.

    With two outputs, each a regression onto one of two opposite indicators, the outputs differ by
    what one regression onto 1 (true) and -1 (false) gives, which is what is fitted. The weights are
    a combination of the texts to train on: `(K + λ)⁻¹ y` of their centred products `K` (Saunders,
    Gammerman & Vovk 1998, Ridge regression learning algorithm in dual variables).

    Parameters
    ----------
    gram : ndarray of float64, shape (n_texts, n_texts)
        Inner products of the texts' vectors.
    labels : ndarray of bool, shape (n_labellings, n_texts)
        Labels of all texts; every labelling chooses a penalty of its own, as a null must.
    parts : sequence of three ndarray of int
        Numbers of the texts to train on, to choose by and to test on.
    """
    train, choose, test = parts
    targets = np.where(labels[:, train], 1.0, -1.0).T
    offset = targets.mean(axis=0)
    centred = _Centred(gram, train)
    kernel = centred(train)
    scale = float(np.trace(kernel)) / len(train) or 1.0
    to_choose, to_test = centred(choose), centred(test)
    best, chosen = np.full(len(labels), -np.inf), np.full(len(labels), PENALTIES[0])
    values = np.empty((len(labels), len(test)))
    for penalty in PENALTIES:
        ridge = kernel + penalty * scale * np.eye(len(train))
        weights = cho_solve(cho_factor(ridge, overwrite_a=True), targets - offset)
        scores = (to_choose @ weights).T
        quality = np.array([auc(*one) for one in zip(scores, labels[:, choose], strict=True)])
        better = quality > best
        best[better], chosen[better] = quality[better], penalty
        values[better] = (offset + to_test @ weights).T[better]
    return Scores(values, float(chosen[0]))


class _Centred:
    """Products of vectors less the mean vector of the texts to train on."""

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
    """Return the area under the ROC curve: the share of pairs of a true and a false one in order.

    Ties count half (Mann & Whitney 1947); not a number where one kind is missing.

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
    """Return the share of the texts of which the sign of the score is right."""
    return float(((scores > 0) == truth).mean())
