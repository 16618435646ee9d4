"""Scores are read whole or refused, and correlations are those of SciPy and of regressions."""

import json
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments.multifractal.agreement import (
    agreement_rows,
    partial,
    pearson,
    permutation_p,
    spearman,
)
from experiments.multifractal.scores import read_scores
from probe.api import UserError

STEPS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]
OPTIONS = {"repetitions": 200, "orders": 300, "seed": 0}


def series(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = np.cumsum(rng.normal(size=n))
    return z + rng.normal(size=n), np.exp(z / 3) + rng.normal(size=n), z


@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_those_of_scipy(seed: int) -> None:
    x, y, z = series(seed)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    x[3] = x[7]  # a tie
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    left = [one - np.polyval(np.polyfit(z, one, 1), z) for one in (x, y)]
    assert partial(x, y, z) == pytest.approx(stats.pearsonr(*left).statistic, abs=1e-9)


def test_what_is_constant_or_the_clock_itself_has_no_correlation() -> None:
    x, _, z = series(0)
    for value in (1.0, 0.1, 0.7, 0.365):  # whose mean may be another number, by rounding
        assert np.isnan(pearson(x, np.full(12, value)))
        assert permutation_p(x, np.full(12, value), 10, seed=0) is None
    assert np.isnan(pearson(np.full(6, 0.1), np.full(6, 0.7)))
    for clock in (z, 3 * z + 0.1, -z / 7):
        assert np.isnan(partial(x, clock, z))
        assert np.isnan(partial(clock, x, z))


def test_p_counts_all_orders_of_a_few_steps() -> None:
    x, y, _ = series(1, n=6)
    observed = abs(stats.pearsonr(x, y).statistic)
    as_far = sum(
        abs(stats.pearsonr(x[list(order)], y).statistic) >= observed - 1e-9
        for order in permutations(range(6))
    )
    assert permutation_p(x, y, 10, seed=0) == pytest.approx(as_far / factorial(6))


def test_p_of_many_steps_is_that_of_scipys_permutations() -> None:
    x, y, _ = series(2, n=15)
    expected = stats.pearsonr(x, y, method=stats.PermutationMethod(20_000, rng=0)).pvalue
    assert permutation_p(x, y, 20_000, seed=1) == pytest.approx(expected, abs=0.015)
    assert permutation_p(x, np.ones(15), 10, seed=0) is None


def test_measures_meet_scores_of_the_steps_that_both_have() -> None:
    clock = np.log1p(STEPS)
    rng = np.random.default_rng(0)
    measures = {"emergence": clock + rng.normal(size=10), "log_step": clock}
    scores = {
        "task": {step: float(np.sqrt(step)) for step in [*STEPS[2:], 999]},
        "few": {0: 1.0, 1: 2.0, 2: 5.0},
    }
    rows = agreement_rows(STEPS, measures, scores, **OPTIONS)
    assert [(row["task"], row["measure"], row["n"]) for row in rows] == [
        ("task", "emergence", 8), ("task", "log_step", 8),
    ]  # fmt: skip
    y = np.sqrt(STEPS[2:])
    for row, x in zip(rows, measures.values(), strict=True):
        assert row["pearson"] == pytest.approx(stats.pearsonr(x[2:], y).statistic)
        assert row["pearson_low"] <= row["pearson"] <= row["pearson_high"]
        assert row["spearman"] == pytest.approx(stats.spearmanr(x[2:], y).statistic)
    assert rows[0]["partial"] == pytest.approx(partial(measures["emergence"][2:], y, clock[2:]))
    assert rows[1]["partial"] is rows[1]["partial_low"] is None
    assert agreement_rows(STEPS, measures, scores, **OPTIONS) == rows


def test_scores_of_other_steps_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"no task of study\.scores has values of 4 or more of the 10 s"
    ):
        agreement_rows(STEPS, {"log_step": np.log1p(STEPS)}, {"task": {3: 1.0}}, **OPTIONS)


def test_a_table_of_scores_is_read(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("task,step,value,note\nbits,0,3.5,x\nbits,64,2.5,\nacc,0,1e-1,\n")
    assert read_scores(str(file)) == {"bits": {0: 3.5, 64: 2.5}, "acc": {0: 0.1}}


def test_results_of_the_harness_are_read_by_the_step_in_their_names(tmp_path: Path) -> None:
    for step, accuracy in ((0, 0.1), (1000, 0.4)):
        results = {
            "piqa": {"acc": accuracy, "acc_stderr": 0.01, "acc_norm": 0.9},
            "sciq": {"acc,none": accuracy + 0.1},
            "wikitext": {"ppl": 12.0},
        }
        (tmp_path / f"70m_step{step}.json").write_text(json.dumps({"results": results}))
    (tmp_path / "notes.json").write_text("not read")
    assert read_scores(str(tmp_path)) == {
        "piqa": {0: 0.1, 1000: 0.4}, "sciq": {0: 0.2, 1000: 0.5},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "step,value\n1,2\n", "a.csv has no column task; scores have the columns step, t"),
        ("a.csv", "step,task,value\n1,a,b\n", "line 2 of .*a.csv has step 1 and value b; give a w"),
        ("a.csv", "step,task,value\n1,a,nan\n", "line 2 of .*a.csv has step 1 and value nan"),
        ("a.csv", "step,task,value\n1,a\n", "line 2 of .*a.csv has step 1 and value None"),
        ("a.csv", "step,value,task\n1,2\n", "line 2 of .*a.csv has no task; give the name of one"),
        ("a.csv", "step,task,value\n1,a,2\n1,a,3\n", "a.csv has two values of a at step 1"),
        ("a.csv", "step,task,value\n", "a.csv has no scores"),
        ("a.csv", b"\xff\xfe\x00", "a.csv is no table of scores"),
        ("x_step1.json", "{", "x_step1.json is no result of the evaluation harness .JSONDecode"),
        ("x_step1.json", '{"results": 1}', "x_step1.json is no result of the evaluation harness"),
        ("notes.txt", "", r"study\.scores=.* has no \*_stepN\.json; give a \.csv with columns"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_a_line(
    name: str, content: str | bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    place = tmp_path / name if name == "a.csv" else tmp_path
    with pytest.raises(UserError, match=said) as error:
        read_scores(str(place))
    assert "\n" not in str(error.value)


def test_scores_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match=r"study\.scores=none\.csv does not exist; give a \.csv"):
        read_scores("none.csv")
