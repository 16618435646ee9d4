"""Similarity of subjects, against the similarity of two halves of one subject."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import permutation_p, split_by_group
from experiments.subjects.covariances import Matrix

# Fewer subjects have too few pairs to compare patterns.
LEAST_SUBJECTS = 4


@dataclass(frozen=True, eq=False)
class Similarity:
    """Correlations between the mean topologies of subjects.

    Attributes
    ----------
    whole : ndarray, shape (n_subjects, n_subjects)
        Correlations of the means of all texts, ones on the diagonal.
    halves : ndarray, shape (n_subjects, n_subjects)
        Correlations between half of one subject and half of another, or the two halves of one on
        the diagonal, averaged over splits. All are equally noisy, so that a difference from the
        diagonal is a difference between subjects.
    """

    whole: Matrix
    halves: Matrix

    @property
    def between(self) -> float:
        """Mean correlation between the means of two subjects."""
        return float(off_diagonal(self.whole).mean())

    @property
    def ceiling(self) -> float:
        """Noise ceiling: mean correlation between the two halves of a subject."""
        return float(np.diagonal(self.halves).mean())

    @property
    def between_halves(self) -> float:
        """Mean correlation between halves of two subjects."""
        return float(off_diagonal(self.halves).mean())


def similarity(
    covariances: Matrix, subjects: Sequence[str], groups: Sequence[str], splits: int, seed: int
) -> Similarity:
    """Correlate the mean topologies of subjects, in alphabetical order.

    Parameters
    ----------
    covariances : ndarray, shape (n_texts, n_texts)
        Covariances between the texts' topologies.
    subjects, groups : sequence of str
        Subject and group of every text; a group stays in one half.
    splits, seed : int
        Number of random splits, and their seed.
    """
    weights = mean_weights(subjects, np.arange(len(subjects)))
    halves = []
    for split in range(splits):
        parts = subject_parts(subjects, groups, [0.5, 0.5], seed + split)
        first, second = (mean_weights(subjects, part) for part in parts)
        r = correlations(covariances, first, second)
        halves.append((r + r.T) / 2)
    mean: Matrix = np.array(halves).mean(axis=0)
    return Similarity(correlations(covariances, weights, weights), mean)


def subject_parts(
    subjects: Sequence[str], groups: Sequence[str], fractions: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Split the texts of each subject by group, in the same fractions.

    Raises
    ------
    UserError
        If a subject has fewer groups than there are parts.
    """
    parts: list[list[int]] = [[] for _ in fractions]
    for subject in sorted(set(subjects)):
        members = [text for text, name in enumerate(subjects) if name == subject]
        split = split_by_group([groups[text] for text in members], fractions, seed)
        for part, numbers in zip(parts, split, strict=True):
            part += [members[number] for number in numbers]
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def mean_weights(subjects: Sequence[str], texts: NDArray[np.int64]) -> Matrix:
    """Return the weights of the mean over some texts of each subject, one row per subject."""
    names = sorted(set(subjects))
    weights = np.zeros((len(names), len(subjects)))
    for text in texts:
        weights[names.index(subjects[text]), text] = 1
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return weights


def correlations(covariances: Matrix, first: Matrix, second: Matrix) -> Matrix:
    """Correlate weighted sums of topologies, shape (n_first, n_second)."""
    between: Matrix = first @ covariances @ second.T
    norms = [np.sqrt(((w @ covariances) * w).sum(axis=1)) for w in (first, second)]
    scale: Matrix = np.outer(*norms)
    return np.divide(between, scale, out=np.zeros_like(between), where=scale > 0)


def off_diagonal(matrix: Matrix) -> NDArray[np.float64]:
    """Return the entries of a symmetric matrix above the diagonal."""
    above: NDArray[np.float64] = matrix[np.triu_indices(len(matrix), 1)]
    return above


def pattern(
    first: Matrix, second: Matrix, permutations: int, seed: int
) -> tuple[float, float] | None:
    """Correlate two similarity matrices of subjects; return r and its p value.

    Mantel test (Mantel 1967, The detection of disease clustering): the subjects of one matrix are
    permuted. None for too few subjects.
    """
    n = len(first)
    if n < LEAST_SUBJECTS:
        return None
    rng = np.random.default_rng(seed)

    def agreement(order: NDArray[np.int64]) -> float:
        pair = off_diagonal(first), off_diagonal(second[np.ix_(order, order)])
        correlated: Matrix = np.corrcoef(np.stack(pair))
        return float(correlated[0, 1])

    observed = agreement(np.arange(n))
    return observed, permutation_p(
        observed, [agreement(rng.permutation(n)) for _ in range(permutations)]
    )
