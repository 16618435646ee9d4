"""A circular shift rolls every neuron's series within its example, and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import Side
from probe.examples.batches import Batch
from probe.examples.counting import Dropped
from probe.extraction.circular_shift import draw_shifts, shift

steady = settings(derandomize=True, database=None, deadline=None)


@steady
@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=4),
    st.sampled_from(list(Side)),
    st.integers(0, 3),
    st.integers(0, 99),
    st.booleans(),
)
def test_a_shift_is_numpys_roll_over_the_tokens_that_count(
    lengths: list[int], side: Side, skip: int, seed: int, gaps: bool
) -> None:
    ids = [[1] * skip + [1, 7] * length if gaps else [1] * (length + skip) for length in lengths]
    batch = Batch(list(range(len(ids))), ids, dropped=Dropped((7,)))
    keep = batch.tensors(0, side, skip).keep
    assert keep.sum(dim=1).tolist() == lengths
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((*keep.shape, 3)))
    shifts = draw_shifts(seed, 0, range(len(ids)), keep.sum(dim=1), 3)
    shifted = shift(x, keep, shifts)
    for row in range(len(ids)):
        assert torch.equal(shifted[row][~keep[row]], x[row][~keep[row]])
        for neuron in range(3):
            expected = np.roll(x[row][keep[row], neuron].numpy(), int(shifts[row, neuron]))
            np.testing.assert_array_equal(shifted[row][keep[row], neuron].numpy(), expected)


def test_no_series_stays_where_it_is_and_every_other_shift_is_drawn() -> None:
    drawn = draw_shifts(0, 0, range(300), torch.full((300,), 5), 4)
    assert sorted(drawn.unique().tolist()) == [1, 2, 3, 4]


def test_shifts_depend_on_the_example_and_not_on_its_batch() -> None:
    together = draw_shifts(7, 1, [4, 9], torch.tensor([50, 60]), 8)
    alone = draw_shifts(7, 1, [9], torch.tensor([60]), 8)
    assert torch.equal(together[1:], alone)


@pytest.mark.parametrize("other", [(8, 1), (7, 2)])
def test_seeds_and_repetitions_differ(other: tuple[int, int]) -> None:
    length = torch.tensor([1000])
    assert not torch.equal(draw_shifts(7, 1, [0], length, 8), draw_shifts(*other, [0], length, 8))
