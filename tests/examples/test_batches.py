"""Examples are batched by their lengths alone."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import Side
from probe.examples.batches import Batch, form_batches, padding_share
from probe.examples.choose import Example
from probe.examples.partition import split_parts
from probe.examples.share import deal

# The same cases in every run, however busy the machine.
steady = settings(derandomize=True, database=None, deadline=None)


def examples_of(lengths: Sequence[int], token: int = 0) -> list[Example]:
    return [Example(f"{token}/{i}", [token] * length) for i, length in enumerate(lengths)]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[int], int, int]:
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=40))
    return lengths, draw(st.integers(1, 120)), draw(st.integers(1, len(lengths)))


@steady
@given(plans())
def test_every_example_is_in_one_batch_with_its_own_ids(plan: tuple[list[int], int, int]) -> None:
    lengths, budget, parts = plan
    examples = [Example("", list(range(i, i + length))) for i, length in enumerate(lengths)]
    batches = form_batches(examples, budget, split_parts(len(lengths), parts))
    members = [member for batch in batches for member in batch.members]
    assert sorted(members) == list(range(len(lengths)))
    for batch in batches:
        assert batch.ids == [examples[member].ids for member in batch.members]


@steady
@given(plans())
def test_a_padded_batch_is_within_the_budget_unless_it_is_one_example(
    plan: tuple[list[int], int, int],
) -> None:
    lengths, budget, parts = plan
    for batch in form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts)):
        padded = batch.tensors(0, Side.right, 0).tokens
        assert padded.numel() <= budget or len(batch.members) == 1


@steady
@given(plans())
def test_no_batch_crosses_the_border_of_a_cell(plan: tuple[list[int], int, int]) -> None:
    lengths, budget, parts = plan
    batches = form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts))
    for part, expected in enumerate(np.array_split(np.arange(len(lengths)), parts)):
        members = [m for batch in batches if batch.cell == part for m in batch.members]
        assert sorted(members) == expected.tolist()
    assert {batch.cell for batch in batches} == set(range(parts))


@steady
@given(plans())
def test_batches_go_from_long_to_short_and_none_could_take_the_next_example(
    plan: tuple[list[int], int, int],
) -> None:
    lengths, budget, parts = plan
    batches = form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts))
    order = [(batch.cell, -lengths[m], m) for batch in batches for m in batch.members]
    assert order == sorted(order)
    for batch, following in pairwise(batches):
        if batch.cell == following.cell:
            full = (len(batch.members) + 1) * len(batch.ids[0]) > budget
            assert full or len(following.ids[0]) < 0.9 * len(batch.ids[0])


@steady
@given(plans())
def test_no_example_is_padded_by_more_than_a_tenth(plan: tuple[list[int], int, int]) -> None:
    lengths, budget, parts = plan
    for batch in form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts)):
        longest, shortest = (pick(map(len, batch.ids)) for pick in (max, min))
        assert shortest >= 0.9 * longest


@steady
@given(plans(), st.integers())
def test_batches_depend_on_lengths_and_budget_alone(
    plan: tuple[list[int], int, int], seed: int
) -> None:
    lengths, budget, parts = plan
    expected = form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts))
    np.random.seed(seed % 2**32)
    again = form_batches(examples_of(lengths, token=7), budget, split_parts(len(lengths), parts))
    assert [(b.members, b.cell) for b in again] == [(b.members, b.cell) for b in expected]


@steady
@given(plans(), st.integers(1, 9))
def test_hands_share_the_batches_and_differ_by_no_more_than_one(
    plan: tuple[list[int], int, int], hands: int
) -> None:
    lengths, budget, parts = plan
    batches = form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts))
    dealt = deal(batches, hands)
    assert len(dealt) == hands
    numbers = [[batches.index(batch) for batch in hand] for hand in dealt]
    assert sorted(number for hand in numbers for number in hand) == list(range(len(batches)))
    assert all(hand == sorted(hand) for hand in numbers)
    padded = [batch.tensors(0, Side.left, 0).tokens.numel() for batch in batches]
    loads = [sum(padded[number] for number in hand) for hand in numbers]
    assert max(loads) - min(loads) <= max(padded)
    assert max(loads) - min(loads) <= max(padded[number] for number in numbers[np.argmax(loads)])


@steady
@given(plans())
def test_the_share_of_padding_is_that_of_the_tensors(plan: tuple[list[int], int, int]) -> None:
    lengths, budget, parts = plan
    batches = form_batches(examples_of(lengths), budget, split_parts(len(lengths), parts))
    attended = torch.cat([b.tensors(0, Side.left, 0).attended.flatten() for b in batches])
    assert padding_share(batches) == pytest.approx(float((~attended).double().mean()), abs=1e-12)


def test_a_batch_is_padded_on_the_side_asked_for() -> None:
    batch = Batch([4, 2], [[1, 2, 3], [4]])
    right = batch.tensors(9, Side.right, 0)
    assert right.tokens.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert right.attended.tolist() == [[True, True, True], [True, False, False]]
    left = batch.tensors(9, Side.left, 0)
    assert left.tokens.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert left.attended.tolist() == [[True, True, True], [False, False, True]]
    for tensors in (left, right):
        assert torch.equal(tensors.keep, tensors.attended)
        assert tensors.tokens.dtype is torch.int64
        assert tensors.keep.dtype is tensors.attended.dtype is torch.bool


@pytest.mark.parametrize("side", list(Side))
def test_the_first_tokens_that_are_left_out_are_read_but_not_kept(side: Side) -> None:
    tensors = Batch([0, 1], [[1, 2, 3, 4], [5, 6, 7]]).tensors(0, side, skip_first=2)
    assert [row[keep].tolist() for row, keep in zip(tensors.tokens, tensors.keep, strict=True)] == [
        [3, 4],
        [7],
    ]
    assert tensors.attended.sum(dim=1).tolist() == [4, 3]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("skip", "kept"), [(0, [[3, 4], [7]]), (3, [[4], []])])
def test_only_tokens_of_the_part_that_counts_are_kept(
    side: Side, skip: int, kept: list[list[int]]
) -> None:
    examples = [Example("a", [1, 2]).followed_by([3, 4]), Example("b", [5, 6]).followed_by([7])]
    formed = form_batches(examples, 100, part="generated")
    assert [one.spans for one in formed] == [[(2, 4)], [(2, 3)]]
    batch = Batch([0, 1], [one.ids for one in examples], 0, [(2, 4), (2, 3)])
    tensors = batch.tensors(0, side, skip)
    found = [row[keep].tolist() for row, keep in zip(tensors.tokens, tensors.keep, strict=True)]
    assert found == kept
    assert batch.n_counted(skip) == [len(row) for row in kept]
    assert tensors.attended.sum(dim=1).tolist() == [4, 3]
    second = batch.part(slice(1, None)).tensors(0, side, skip)
    assert second.tokens[second.keep].tolist() == kept[1]
    whole = form_batches(examples, 100)
    assert [one.n_counted(skip) for one in whole] == [[4 - skip], [3 - skip]]


def test_a_token_that_equals_the_padding_is_no_padding() -> None:
    tensors = Batch([0, 1], [[9, 9], [9]]).tensors(9, Side.left, 0)
    assert tensors.attended.tolist() == [[True, True], [False, True]]


def test_tensors_move_together() -> None:
    moved = Batch([0], [[1, 2]]).tensors(0, Side.left, 1).to(torch.device("meta"))
    assert {moved.tokens.device.type, moved.attended.device.type, moved.keep.device.type} == {
        "meta"
    }
