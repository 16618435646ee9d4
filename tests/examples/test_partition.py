"""Cells are disjoint, cover the examples, and keep every document in one half."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.examples.choose import Example
from probe.examples.partition import MatrixSpec, partition, split_halves, split_parts

steady = settings(derandomize=True, database=None, deadline=None)


def of(documents: str) -> list[Example]:
    """Take an example for each letter, the letter being its document."""
    return [Example(letter, [1]) for letter in documents]


@given(st.integers(1, 40), st.integers(1, 9))
@steady
def test_parts_are_those_of_array_split(n: int, parts: int) -> None:
    assert split_parts(n, parts) == [p.tolist() for p in np.array_split(np.arange(n), parts)]


@steady
@given(st.text("abcde", min_size=2, max_size=20))
def test_halves_share_no_document_unless_there_is_only_one(documents: str) -> None:
    members = list(range(len(documents)))
    halves = split_halves(members, of(documents))
    assert sorted(halves[0] + halves[1]) == members
    assert all(halves)
    first, second = ({documents[member] for member in half} for half in halves)
    if len(set(documents)) > 1:
        assert not first & second
        assert 0 <= len(first) - len(second) <= 1
    else:
        assert halves == [p.tolist() for p in np.array_split(members, 2)]


def test_answers_to_one_question_share_a_half() -> None:
    answers = [Example(f"q/{i}", [1], group=f"q{i // 2}") for i in range(6)]
    assert split_halves(range(6), answers) == [[0, 1, 4, 5], [2, 3]]


def test_one_example_has_no_halves() -> None:
    assert split_halves([3], of("abcd")) == [[3]]


def test_a_run_of_two_parts_has_four_cells_and_a_matrix_for_each_group_and_part() -> None:
    cells, wanted = partition({"x": [0, 1], "y": [1]}, of("abcdef"), "fisher", 2)
    assert cells == [[0, 2], [1], [3, 5], [4]]
    assert wanted == [
        MatrixSpec("x_part1", [0, 1], [0, 1], "fisher", 1, 2, halves=True),
        MatrixSpec("x_part2", [0, 1], [2, 3], "fisher", 2, 2, halves=True),
        MatrixSpec("y_part1", [1], [0, 1], "fisher", 1, 2, halves=True),
        MatrixSpec("y_part2", [1], [2, 3], "fisher", 2, 2, halves=True),
    ]


@pytest.mark.parametrize(("halves", "documents"), [(False, "abc"), (True, "a")])
def test_without_halves_a_part_is_a_cell(halves: bool, documents: str) -> None:
    cells, wanted = partition({"x": [0]}, of(documents), halves=halves)
    assert cells == [list(range(len(documents)))]
    assert wanted == [MatrixSpec("x", [0], [0])]
