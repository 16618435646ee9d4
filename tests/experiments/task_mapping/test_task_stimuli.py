"""Which prompts are in which scan, and what is said when there are too few."""

import logging
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.task_mapping.prompts import Prompts
from experiments.task_mapping.settings import TaskMapping
from experiments.task_mapping.stimuli import among, deal, draw_over_topics, plan_scans, read_in
from probe.api import Document, UserError


def prompts(tasks: list[str] | None = None, **sizes: int) -> Prompts:
    topics = [topic for topic, size in sizes.items() for _ in range(size)]
    documents = [Document(f"{topic}/{place}", topic) for place, topic in enumerate(topics)]
    return Prompts(documents, np.array(topics), tasks or list(sizes))


SMALL = TaskMapping(blocks=5, prompts=3, scans=3)
SIX = prompts(["a", "b"], a=20, b=18, c=12, d=12, e=12, f=12)


def test_blocks_alternate_and_on_prompts_are_of_the_task() -> None:
    of_tasks, null = plan_scans(SIX, SMALL)
    assert [(scan.task, scan.number) for scan in of_tasks] == [
        (task, number) for task in "ab" for number in range(3)
    ]
    for scan in of_tasks:
        assert scan.on.tolist() == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3
        assert (SIX.topics[scan.prompts[scan.on]] == scan.task).all()
        assert np.isin(SIX.topics[scan.prompts[~scan.on]], list("cdef")).all()
    assert len(null) == len(of_tasks)
    for scan in null:
        assert np.isin(SIX.topics[scan.prompts], list("cdef")).all()
        assert scan.on.sum() == 6


def test_no_prompt_recurs_in_a_scan_or_in_scans_of_two_numbers() -> None:
    of_tasks, null = plan_scans(SIX, SMALL)
    for scan in [*of_tasks, *null]:
        assert len(np.unique(scan.prompts)) == len(scan.prompts)
    for first, second in combinations(of_tasks, 2):
        if first.number != second.number:
            assert not np.isin(first.prompts, second.prompts).any()
    whole = prompts(a=18, b=18, c=18)
    for first, second in combinations(plan_scans(whole, SMALL)[0], 2):
        if first.number != second.number:
            assert not np.isin(first.prompts, second.prompts).any(), "nor where tasks are off"


def test_off_prompts_recur_only_where_there_are_too_few(caplog: pytest.LogCaptureFixture) -> None:
    few = prompts(["a", "b"], a=20, b=18, c=15)
    with caplog.at_level(logging.WARNING):
        of_tasks, _ = plan_scans(few, SMALL)
    assert "scans of a, b share off-prompts, as 3 scans need 9 each and there are" in caplog.text
    for scan in of_tasks:
        assert len(np.unique(scan.prompts)) == len(scan.prompts)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), scans=st.integers(2, 5))
def test_every_number_has_its_part_of_every_topic(sizes: list[int], scans: int) -> None:
    topics = np.repeat([f"t{number}" for number in range(len(sizes))], sizes)
    dealt = deal(topics, scans, seed=0)
    counts = np.bincount(dealt, minlength=scans)
    assert counts.max() - counts.min() <= 1
    for topic in np.unique(topics):
        own = np.bincount(dealt[topics == topic], minlength=scans)
        assert own.max() - own.min() <= 1


def test_seeds_choose_other_prompts_and_one_seed_the_same() -> None:
    first, again, other = (
        plan_scans(SIX, TaskMapping(blocks=5, prompts=3, scans=3, seed=seed)) for seed in (0, 0, 1)
    )
    for kind in (0, 1):
        for one, same in zip(first[kind], again[kind], strict=True):
            assert np.array_equal(one.prompts, same.prompts)
        assert any(
            not np.array_equal(one.prompts, same.prompts)
            for one, same in zip(first[kind], other[kind], strict=True)
        )


def test_where_every_topic_is_a_task_the_others_are_off() -> None:
    whole = prompts(a=18, b=18, c=18)
    of_tasks, null = plan_scans(whole, SMALL)
    for scan in of_tasks:
        off = set(whole.topics[scan.prompts[~scan.on]])
        assert off == {"a", "b", "c"} - {scan.task}
    for scan in null:
        assert set(whole.topics[scan.prompts]) == {"a", "b", "c"} - {scan.task}


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 99),
)
def test_draws_take_as_many_of_each_topic_as_there_are(
    sizes: list[int], share: float, seed: int
) -> None:
    """No topic has two prompts more than another, unless that other has no more."""
    topics = np.repeat([f"t{number}" for number in range(len(sizes))], sizes)
    n = max(1, round(share * len(topics)))
    drawn = draw_over_topics(np.arange(len(topics)), topics, n, np.random.default_rng(seed))
    assert len(np.unique(drawn)) == n
    counts = np.array([(topics[drawn] == f"t{number}").sum() for number in range(len(sizes))])
    for own, size in zip(counts, sizes, strict=True):
        assert own == size or own >= counts.max() - 1


def test_prompts_that_are_not_read_leave_their_scans() -> None:
    of_tasks, _ = plan_scans(SIX, SMALL)
    used = read_in(of_tasks)
    silent = of_tasks[0].prompts[4]
    kept = np.setdiff1d(used, [silent])
    shorter = among(of_tasks, kept)
    assert len(shorter[0].prompts) == len(of_tasks[0].prompts) - 1
    assert shorter[0].on.sum() == of_tasks[0].on.sum() - 1
    for before, after in zip(of_tasks, shorter, strict=True):
        expected = before.prompts[before.prompts != silent]
        assert np.array_equal(kept[after.prompts], expected)


@pytest.mark.parametrize(
    ("given_prompts", "settings", "message"),
    [
        (
            SIX, {"scans": 4},
            r"task 'a' has 20 prompts, and study\.scans=4 scans with 2 on-blocks of "
            r"study\.prompts=3 need 24, none twice; give more prompts, or fewer",
        ),
        (
            SIX, {"prompts": 40},
            r"task 'a' has 20 prompts, and .* of study\.prompts=40 need 240, none twice",
        ),
        (
            prompts(["a", "b"], a=20, b=18, c=14), {},
            r"14 prompts of other topics are off for task 'a', and a null scan of study\.blocks=5 "
            r"blocks of study\.prompts=3 needs 15, none twice; give more prompts of other topics",
        ),
    ],
)  # fmt: skip
def test_too_few_prompts_cost_one_line(
    given_prompts: Prompts, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan_scans(given_prompts, TaskMapping(**{"blocks": 5, "prompts": 3, "scans": 3} | settings))
