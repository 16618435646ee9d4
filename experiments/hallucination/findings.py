"""Results for each source: the performance of a probe on it, and its coupling index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.hallucination.answers import Answers
from experiments.hallucination.coupling import coupling_index, has_pairs
from experiments.hallucination.probes import accuracy, auc, probe
from experiments.hallucination.settings import Hallucination
from experiments.hallucination.sources import Source
from experiments.statistics import bootstrap, permutation_p

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Quantity:
    """A statistic of a source that can be resampled.

    Attributes
    ----------
    of : callable
        Its value over some of the examples, by their indices.
    groups : list of str
        The question of each example.
    row : dict
        Its entries in tables: value, interval, null model.
    """

    of: Callable[[Numbers], float]
    groups: list[str]
    row: dict[str, Any]


@dataclass(frozen=True)
class ProbeResult:
    """A probe's results on the test set.

    Attributes
    ----------
    auc, accuracy : Quantity
        Area under the ROC curve; share of answers classified correctly.
    row : dict
        A row of the table.
    """

    auc: Quantity
    accuracy: Quantity
    row: dict[str, Any]


def probe_source(
    source: Source,
    answers: Answers,
    parts: Sequence[Numbers],
    shuffled: NDArray[np.bool_],
    settings: Hallucination,
) -> ProbeResult:
    """Fit probes to the labels and to shuffled labels, and test all of them on the labels."""
    test = parts[2]
    truth, groups = answers.truth[test], [answers.questions[number] for number in test]
    labels = np.concatenate([answers.truth[None], shuffled])
    fitted = probe(source.products.gram, labels, parts)
    scores, null = fitted.values[0], fitted.values[1:]
    of_auc = _quantity(lambda n: auc(scores[n], truth[n]), groups, settings)
    of_accuracy = _quantity(lambda n: accuracy(scores[n], truth[n]), groups, settings)
    within = ranking_accuracy(scores, truth, groups)
    of_within = _quantity(lambda n: _mean(within[n]), groups, settings)
    nulls = [auc(one, truth) for one in null]
    row = {
        **_identity(source),
        "questions": len(set(groups)),
        "accuracy": of_accuracy.row["value"],
        "accuracy_low": of_accuracy.row["low"],
        "accuracy_high": of_accuracy.row["high"],
        "accuracy_shuffled": float(np.mean([accuracy(one, truth) for one in null])),
        "auc": of_auc.row["value"],
        "auc_low": of_auc.row["low"],
        "auc_high": of_auc.row["high"],
        "auc_shuffled": float(np.mean(nulls)),
        "auc_p": permutation_p(of_auc.row["value"], nulls),
        "within": of_within.row["value"],
        "within_low": of_within.row["low"],
        "within_high": of_within.row["high"],
        "penalty": fitted.penalty,
    }
    return ProbeResult(of_auc, of_accuracy, row)


def ranking_accuracy(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], groups: Sequence[str]
) -> NDArray[np.float64]:
    """Return each question's share of pairs of a true and a false answer ranked correctly.

    Returns
    -------
    ndarray of float64, shape (n_texts,)
        At each question's first text; NaN elsewhere, and without such a pair.
    """
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    shares = np.full(len(scores), np.nan)
    for numbers in members.values():
        shares[numbers[0]] = auc(scores[numbers], truth[numbers])
    return shares


def couple_source(source: Source, answers: Answers, settings: Hallucination) -> Quantity:
    """Return the share of questions with a positive coupling index, and that of shuffled labels."""
    indices, nulls, groups = [], [], []
    generator = np.random.default_rng(settings.seed)
    for question, members in answers.by_question().items():
        truth = answers.truth[members]
        if not has_pairs(truth):
            continue
        similarity = source.products.correlations(members)
        shuffled = generator.permuted(np.tile(truth, (settings.permutations, 1)), axis=1)
        indices.append(float(coupling_index(similarity, truth)))
        nulls.append(coupling_index(similarity, shuffled))
        groups.append(question)
    index = np.array(indices)
    share = _quantity(lambda n: float((index[n] > 0).mean()), groups, settings)
    # One shuffle of all questions is one draw of the null model.
    null_indices = np.array(nulls)
    null = (null_indices > 0).mean(axis=0)
    share.row.update(
        null=float(null.mean()),
        null_low=float(np.quantile(null, 0.025)),
        null_high=float(np.quantile(null, 0.975)),
        p=permutation_p(share.row["value"], null.tolist()),
        mean_c=float(index.mean()),
        mean_c_null=float(null_indices.mean()),
        questions=len(groups),
    )
    share.row.update(_identity(source) | {"indices": index.tolist()})
    return share


def _identity(source: Source) -> dict[str, Any]:
    return {"source": source.name, "layer": source.layer, "control": source.control}


def _quantity(
    of: Callable[[Numbers], float], groups: list[str], settings: Hallucination
) -> Quantity:
    low, high = bootstrap(of, groups, settings.seed, settings.repetitions)
    row = {"value": of(np.arange(len(groups))), "low": low, "high": high}
    # JSON has no NaN.
    return Quantity(of, groups, {k: v if np.isfinite(v) else None for k, v in row.items()})


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
