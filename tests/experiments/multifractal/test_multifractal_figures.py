"""Figures of the study of weights."""

from types import SimpleNamespace
from typing import Any

from experiments.multifractal.figures import sizes


def test_models_of_one_size_are_both_named() -> None:
    weights = {"first": 1000, "second": 1000, "larger": 5000}
    courses: list[Any] = [
        SimpleNamespace(name=name, how=SimpleNamespace(layout=SimpleNamespace(weights=number)))
        for name, number in weights.items()
    ]
    values = {"emergence": 0.1, "emergence_low": 0.0, "emergence_high": 0.2}
    rows = [{"model": name, "step": step} | values for name in weights for step in (0, 8)]
    (axes,) = sizes(courses, rows).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["first\nsecond\n1,000", "larger\n5,000"]
