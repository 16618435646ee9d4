"""Classification of a text's subject by the nearest mean topology of other documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import permutation_p
from experiments.subjects.covariances import Matrix
from experiments.subjects.similarity import mean_weights


@dataclass(frozen=True, eq=False)
class Guesses:
    """Which texts were classified correctly.

    Attributes
    ----------
    right : ndarray of bool, shape (n_test,)
        Whether the nearest mean is that of the text's own subject.
    null : list of float
        Accuracies with permuted subjects, among the training and among the test documents. Permuted
        in training alone, two subjects would still be separated, with all texts right or all wrong.
    """

    right: NDArray[np.bool_]
    null: list[float]

    @property
    def accuracy(self) -> float:
        """Share of the texts classified correctly."""
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
    """Classify the test texts, and again with the labels of whole documents permuted."""
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


def majority(subjects: Sequence[str], train: NDArray[np.int64], test: NDArray[np.int64]) -> Guesses:
    """Classify every test text as the most frequent subject of training: a constant prediction."""
    names, counts = np.unique(np.array(subjects)[train], return_counts=True)
    return Guesses(np.array(subjects)[test] == names[counts.argmax()], [])


def _right(
    covariances: Matrix,
    subjects: Sequence[str],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Correlate texts with subjects, both centred on the mean over all subjects.

    A text's own norm is omitted: it is the same for all subjects.
    """
    names = np.array(sorted(set(subjects)))
    means = mean_weights(subjects, train)
    common = means.mean(axis=0)
    centred = means - common
    with_texts = covariances @ centred.T
    norms = np.sqrt((centred.T * with_texts).sum(axis=0))
    scores = (with_texts[test] - common @ with_texts) / norms
    right: NDArray[np.bool_] = names[scores.argmax(axis=1)] == np.array(subjects)[test]
    return right
