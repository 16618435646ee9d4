"""Guess a text's subject from the nearest mean topology of other documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import permutation_p
from experiments.subjects.likeness import Matrix
from experiments.subjects.similarity import correlations, mean_weights


@dataclass(frozen=True, eq=False)
class Guesses:
    """Which texts were guessed right.

    Attributes
    ----------
    right : ndarray of bool, shape (n_test,)
        Whether the nearest mean is that of a text's own subject.
    null : list of float
        Accuracies after the subjects of the training documents were permuted.
    """

    right: NDArray[np.bool_]
    null: list[float]

    @property
    def accuracy(self) -> float:
        """Share of the texts guessed right."""
        return float(self.right.mean())

    @property
    def p(self) -> float:
        """One-sided p value of the accuracy under permutation."""
        return permutation_p(self.accuracy, self.null)


def guess(
    covariances: Matrix,
    subjects: Sequence[str],
    groups: Sequence[str],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    permutations: int,
    seed: int,
) -> Guesses:
    """Guess the subjects of test texts, and again with permuted labels of training documents."""
    right = _right(covariances, subjects, train, test, subjects)
    rng = np.random.default_rng(seed)
    of_group = {groups[text]: subjects[text] for text in train}
    null = []
    for _ in range(permutations):
        shuffled = dict(
            zip(of_group, rng.permutation(list(of_group.values())).tolist(), strict=True)
        )
        taught = list(subjects)
        for text in train:
            taught[text] = shuffled[groups[text]]
        null.append(float(_right(covariances, taught, train, test, subjects).mean()))
    return Guesses(right, null)


def _right(
    covariances: Matrix,
    taught: Sequence[str],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    subjects: Sequence[str],
) -> NDArray[np.bool_]:
    """Correlate what sets texts and subjects apart from the mean over all subjects."""
    names = np.array(sorted(set(taught)))
    means = mean_weights(taught, train)
    common = means.mean(axis=0)
    single = np.eye(len(subjects))[test]
    scores = correlations(covariances, single - common, means - common)
    right: NDArray[np.bool_] = names[scores.argmax(axis=1)] == np.array(subjects)[test]
    return right
