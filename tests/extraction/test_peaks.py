"""The largest tokens of every neuron are those of all texts, however these are dealt out."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from probe.config import Side
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.extraction.peaks import MOST, Peak, Peaks, read_peaks

NEURONS, LAYER = 4, 7
CPU = torch.device("cpu")


def by_definition(
    series: list[np.ndarray], members: list[int], first: int, neuron: int
) -> list[Peak]:
    """Sort all texts by their largest |activation|, then by their number."""
    found = []
    for member in members:
        x = series[member][first:, neuron]
        position = int(np.abs(x).argmax())
        found.append(Peak(float(x[position]), LAYER, member, first + position))
    return sorted(found, key=lambda peak: (-abs(peak.value), peak.example))[:MOST]


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(2, 9), min_size=1, max_size=14),
    st.sampled_from(list(Side)),
    st.integers(0, 1),
    st.booleans(),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_they_are_the_largest_of_all_texts(
    seed: int, lengths: list[int], side: str, first: int, tied: bool, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(seed)
    series = [rng.standard_normal((length, NEURONS)) * 3 for length in lengths]
    series = [torch.tensor(x.round() if tied else x).to(dtype).float().numpy() for x in series]
    cells = [[m for m in range(len(lengths)) if m % 2 == cell] for cell in (0, 1)]
    wanted = [
        MatrixSpec("one", [LAYER], [0]),
        MatrixSpec("both", [LAYER], [0, 1]),
        MatrixSpec("cross", [LAYER, LAYER + 1], [0, 1], kind="cross"),
    ]
    batches = [
        Batch([int(m) for m in chosen], [[1] * lengths[m] for m in chosen], cell)
        for cell, members in enumerate(cells)
        for chosen in np.array_split(rng.permutation(members), 3)
        if len(chosen)
    ]
    ranks = [Peaks(wanted, {LAYER: NEURONS}, CPU) for _ in range(2)]
    for number in rng.permutation(len(batches)):
        batch = batches[number]
        tensors = batch.tensors(0, side, first)
        x = torch.full((*tensors.keep.shape, NEURONS), torch.nan, dtype=dtype)
        for row, member in enumerate(batch.members):
            x[row][tensors.attended[row]] = torch.from_numpy(series[member]).to(dtype)
        parts = [slice(0, 1), slice(1, None)] if rng.random() < 0.5 else [slice(None)]
        for rows in parts:
            part, of_part = batch.part(rows), tensors.part(rows)
            if part.members:
                peaks = ranks[rng.integers(2)]
                peaks.update(LAYER, part, x[rows], of_part.keep, of_part.attended)
    first_rank, other = ranks
    first_rank.merge(load(save({k: v.contiguous() for k, v in other.state().items()})))
    for matrix in wanted[:2]:
        members = sorted(m for cell in matrix.cells for m in cells[cell])
        kept = first_rank.of(matrix)[LAYER]
        for neuron in range(NEURONS):
            expected = by_definition(series, members, first, neuron)
            assert list(read_peaks(kept, LAYER, neuron)) == expected
    assert first_rank.of(wanted[2]) == {}


def test_a_text_of_which_no_token_counts_has_none() -> None:
    peaks = Peaks([MatrixSpec("one", [LAYER], [0])], {LAYER: NEURONS}, CPU)
    everything = torch.ones(2, 3, dtype=torch.bool)
    keep = torch.tensor([[True] * 3, [False] * 3])
    peaks.update(LAYER, Batch([4, 5], [[1] * 3] * 2), torch.ones(2, 3, NEURONS), keep, everything)
    kept = peaks.of(MatrixSpec("one", [LAYER], [0]))[LAYER]
    assert list(read_peaks(kept, LAYER, 2)) == [Peak(1.0, LAYER, 4, 0)]
