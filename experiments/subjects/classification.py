"""Guess a text's subject from the nearest mean topology of other documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import permutation_p
from experiments.subjects.likeness import Matrix
from experiments.subjects.similarity import mean_weights


@dataclass(frozen=True, eq=False)
class Guesses:
    """Which texts were guessed right.

    Attributes
    ----------
    right : ndarray of bool, shape (n_test,)
        Whether the nearest mean is that of a text's own subject.
    null : list of float
        Accuracies after the subjects were permuted, among the training and among the test
        documents: permuted in training alone, what sets two subjects apart would still be found,
        and all of it be right or wrong together.
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
    """Guess the subjects of test texts, and again with permuted labels of whole documents."""
    rng, null = np.random.default_rng(seed), []
    for _ in range(permutations):
        permuted = list(subjects)
        for part in (train, test):
            of_group = {groups[text]: subjects[text] for text in part}
            labels = rng.permutation(list(of_group.values())).tolist()
            shuffled = dict(zip(of_group, labels, strict=True))
            for text in part:
                permuted[text] = shuffled[groups[text]]
        null.append(float(_right(covariances, permuted, train, test).mean()))
    return Guesses(_right(covariances, subjects, train, test), null)


def _right(
    covariances: Matrix,
    subjects: Sequence[str],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Correlate what sets texts and subjects apart from the mean over all subjects.

    A text's own norm is left out: it is the same for all subjects.
    """
    names = np.array(sorted(set(subjects)))
    means = mean_weights(subjects, train)
    common = means.mean(axis=0)
    apart = means - common
    with_texts = covariances @ apart.T
    norms = np.sqrt((apart.T * with_texts).sum(axis=0))
    scores = (with_texts[test] - common @ with_texts) / norms
    right: NDArray[np.bool_] = names[scores.argmax(axis=1)] == np.array(subjects)[test]
    return right
