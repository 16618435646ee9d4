"""Metrics, baselines, normalisation, halves."""

import math

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from experiments.neuron_graphs.baselines import NgramLookup, TokenLookup
from experiments.neuron_graphs.held_out import split
from experiments.neuron_graphs.metrics import explained, match
from experiments.neuron_graphs.normalise import Vocabulary, normalised
from experiments.neuron_graphs.records import Match, Record, ScannedText, Scores
from experiments.neuron_graphs.summary import score_row, summarise
from experiments.neuron_graphs.unit import Unit


def test_counts_make_the_numbers() -> None:
    true = np.array([1] * 7 + [0] * 13, bool)
    said = np.array([1] * 5 + [0] * 2 + [1] * 3 + [0] * 10, bool)
    assert match(true, said) == Match(5 / 8, 5 / 7, 2 * 5 / (7 + 8))


def test_nothing_predicted_is_no_precision_except_as_published() -> None:
    found = match(np.array([True, False]), np.array([False, False]))
    assert (found.recall, found.f1, found.precision_of_paper) == (0, 0, 1)
    assert math.isnan(found.precision)


def test_what_never_fires_is_not_scored_but_counted() -> None:
    found = match(np.zeros(3, bool), np.array([True, False, False]))
    assert all(map(math.isnan, (found.precision, found.recall, found.f1)))
    fires = Scores(Match(1.0, 0.5, 2 / 3), Match(0.5, 1.0, 2 / 3), Match(float("nan"), 0.0, 0.0),
                   correlation=0.3, support=4, false_per_million=10.0)  # fmt: skip
    never = Scores(false_per_million=30.0)
    records = [
        Record(Unit(0, 0), None, fires), Record(Unit(0, 1), None, never),
        Record(Unit(2, 0), None, never, reason="dead: it"),
    ]  # fmt: skip
    first, second, both = summarise("given", records, seed=0, repetitions=50)
    assert (first["units"], first["tested"], first["f1"]) == (2, 1, pytest.approx(2 / 3))
    assert (second["units"], second["tested"], second["f1"]) == (1, 0, None)
    assert (both["layer"], both["units"], both["tested"]) == ("all", 3, 1)
    assert both["false_per_million"] == pytest.approx(70 / 3)
    assert both["precision"] == both["precision_as_published"] == 1
    assert score_row(records[2]) == {
        "layer": 2, "neuron": 0, "sign": "+", "f1": None, "precision": None, "recall": None,
        "correlation": None, "support": 0, "token_f1": None, "ngram_f1": None,
        "false_per_million": 30.0, "reason": "dead: it",
    }  # fmt: skip


def test_intervals_are_over_units() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(60)
    records = [
        Record(Unit(0, n), None, Scores(Match(value, value, value), Match(0, 0, 0), support=1))
        for n, value in enumerate(values)
    ]
    [row] = summarise("given", records, seed=0, repetitions=2000)
    error = values.std() / np.sqrt(60)
    assert row["f1_low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert row["f1_high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)
    assert row["beyond_token"] == pytest.approx(values.mean())


def test_explained_is_that_of_a_regression() -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(1)
    true, said = rng.random(50), rng.random(50)
    assert explained(true, said) == pytest.approx(r2_score(true, said))
    assert math.isnan(explained(np.ones(3), np.zeros(3)))


def test_lookups_are_counted_by_hand() -> None:
    tokens = np.array([1, 2, 3, 1, 2, 3, 9], np.int32)
    shares = np.array([0.0, 0.2, 0.6, 0.1, 0.7, 0.4, 1.0])
    token, ngram = TokenLookup([(tokens, shares)]), NgramLookup([(tokens, shares)])
    assert token(np.array([3, 2, 9, 8], np.int32)).tolist() == [0.6, 0.7, 1.0, 0.0]
    # Kept are those that fire: (1 2 3), (1 2 3 1 2) and (2 3 1 2 3 9).
    assert ngram(tokens).tolist() == [0, 0, 0.6, 0, 0.7, 0, 1.0]
    assert ngram(np.array([8, 1, 2, 3], np.int32)).tolist() == [0, 0, 0, 0]
    assert ngram(np.array([2, 8, 1, 2, 3, 9], np.int32)).tolist() == [0] * 6
    longer = np.array([7, 1, 2, 3, 1, 2, 3, 9], np.int32)
    assert ngram(longer).tolist() == [0, 0, 0, 0, 0, 0, 0, 1.0], "at most five before"


TABLE = {" The": "the", "A": "A", " A": "a", " 3": " 3", "USA": "USA", "\n": "\n", "The": "the",
         " the": "the"}  # fmt: skip


def test_normalisation_is_the_published_one() -> None:
    for text, expected in TABLE.items():
        assert normalised(text, "title_strip") == expected
    assert normalised("USA", "casefold_strip") == "usa"
    made = Vocabulary.of(list(TABLE), "title_strip")
    assert made.labels == tuple(TABLE.values())
    assert made.texts == tuple(TABLE), "running text keeps its spaces"
    assert made.classes.tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
    same = Vocabulary.of(["\ufffd", "\ufffd"], "none")
    assert same.classes.tolist() == [0, 1], "distinct tokens with one text stay distinct"


def scanned(number: int, *tokens: int) -> ScannedText:
    peak = np.zeros(len(tokens), np.float32)
    peak[-1] = 1
    return ScannedText(number, number, np.array(tokens, np.int32), peak)


def test_halves_are_those_of_scikit_learn() -> None:
    texts = [scanned(n, n, n + 1) for n in range(20)]
    train, test = train_test_split(range(20), train_size=0.5, random_state=0)
    found = split(texts, 0)
    assert {text.example for text in found if text.held_out} == set(test)
    assert {text.example for text in found if not text.held_out} == set(train)
    assert set(test) == {18, 1, 19, 8, 10, 17, 6, 13, 4, 2}
    assert sum(text.held_out for text in split(texts[:7], 0)) == 4


def test_near_duplicates_are_left_out() -> None:
    """The strongest is kept; texts differ if they do within ten tokens of the pivot."""
    near, far = list(range(40)), [99, *range(1, 40)]
    assert [text.example for text in split([scanned(0, *near), scanned(1, *far)], 0)] == [0]
    other = [*near[:35], 99, *near[36:]]
    assert len(split([scanned(0, *near), scanned(1, *other)], 0)) == 2
