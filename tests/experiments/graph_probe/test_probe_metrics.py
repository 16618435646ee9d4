"""Metrics are scikit-learn's and SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from experiments.graph_probe.metrics import CLASSES, NUMBERS

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(3, 40))
def test_metrics_of_numbers(seed: int, count: int) -> None:
    # Rounded, so that some tie.
    truth, predicted = np.random.default_rng(seed).normal(size=(2, count)).round(1)
    found = {name: metric(truth, predicted) for name, metric in NUMBERS.items()}
    if np.ptp(truth) and np.ptp(predicted):
        assert found == pytest.approx(
            {
                "r2": sklearn.r2_score(truth, predicted),
                "mse": sklearn.mean_squared_error(truth, predicted),
                "mae": sklearn.mean_absolute_error(truth, predicted),
                "pearson": stats.pearsonr(truth, predicted).statistic,
                "spearman": stats.spearmanr(truth, predicted).statistic,
            },
            abs=1e-9,
        )


@given(SEEDS, st.integers(6, 40), st.integers(2, 4))
def test_metrics_of_classes(seed: int, count: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), generator.integers(classes, size=count)])
    scores = generator.normal(size=(len(truth), classes)).round(1)
    scores += np.arange(classes) * 1e-6  # the highest score is never a tie
    predicted = scores.argmax(axis=1)
    areas = [sklearn.roc_auc_score(truth == one, scores[:, one]) for one in range(classes)]
    assert {name: metric(truth, scores) for name, metric in CLASSES.items()} == pytest.approx(
        {
            "auc": np.mean(areas),
            "accuracy": sklearn.accuracy_score(truth, predicted),
            "f1": sklearn.f1_score(truth, predicted, average="macro"),
        }
    )


@pytest.mark.parametrize("name", ["r2", "pearson", "spearman"])
def test_what_does_not_vary_has_no_number(name: str) -> None:
    assert np.isnan(NUMBERS[name](np.ones(3), np.arange(3.0)))


def test_one_class_has_no_area() -> None:
    assert np.isnan(CLASSES["auc"](np.zeros(3, dtype=int), np.arange(6.0).reshape(3, 2)))
