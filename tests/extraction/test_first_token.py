"""The first token's norm over the median is what NumPy makes of it, example by example."""

import numpy as np
import pytest
import torch

from probe.config import Side
from probe.examples.batches import Batch
from probe.extraction.first_token import FirstTokenNorm

LENGTHS = (9, 12, 7, 4)


def ratio(series: np.ndarray) -> float:
    """Norm of the first row over the median norm; of two middle ones the lower, as in torch."""
    norms = np.linalg.norm(series.astype(np.float64), axis=1)
    return float(norms[0] / np.sort(norms)[(len(norms) - 1) // 2])


def padded(series: list[np.ndarray], side: Side, skip: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad with activations that would show if they were counted."""
    keep = Batch([], [[1] * len(x) for x in series]).tensors(0, side, skip)
    values = torch.full((*keep.tokens.shape, series[0].shape[1]), 1e4)
    for row, x in enumerate(series):
        values[row][keep.attended[row]] = torch.from_numpy(x)
    return values, keep.keep


def draw(seed: int, lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    series = [generator.normal(size=(n, 5)).astype(np.float32) for n in lengths]
    for x in series:
        x[0] *= 20
    return series


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("skip", [0, 2])
def test_the_sum_of_the_ratios_is_numpys(side: Side, skip: int) -> None:
    sinks = FirstTokenNorm([4])
    expected = 0.0
    for seed in range(3):
        series = draw(seed)
        sinks.update(4, *padded(series, side, skip))
        expected += sum(ratio(x[skip:]) for x in series)
    assert sinks.total.tolist() == pytest.approx([expected], rel=1e-6)


def test_every_layer_has_its_own_sum_in_the_order_of_the_layers() -> None:
    sinks = FirstTokenNorm([7, 2, 5])
    for layer in (2, 5, 2):
        sinks.update(layer, *padded(draw(layer), Side.right, 0))
    of = {layer: sum(ratio(x) for x in draw(layer)) for layer in (2, 5)}
    assert sinks.total.tolist() == pytest.approx([0, 2 * of[2], of[5]], rel=1e-6)


def test_an_even_text_has_a_ratio_of_one_and_a_sink_shows() -> None:
    sinks = FirstTokenNorm([0])
    values = torch.ones(1, 8, 4)
    keep = torch.ones(1, 8, dtype=torch.bool)
    sinks.update(0, values, keep)
    assert sinks.total.item() == 1
    values[:, 0] = 30
    sinks.update(0, values, keep)
    assert sinks.total.item() == pytest.approx(31)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_beyond_half_precision_do_not_overflow(dtype: torch.dtype) -> None:
    sinks = FirstTokenNorm([0])
    values = torch.full((1, 9, 64), 3e4)
    values[:, 0] *= 2
    sinks.update(0, values.to(dtype), torch.ones(1, 9, dtype=torch.bool))
    assert sinks.total.item() == pytest.approx(2, rel=1e-2)


def test_the_sums_are_of_double_precision() -> None:
    sinks = FirstTokenNorm([0, 1])
    sinks.update(1, *padded(draw(0), Side.left, 0))
    assert sinks.total.dtype is torch.float64
    assert sinks.total.shape == (2,)


def test_what_another_rank_has_found_is_added() -> None:
    here = FirstTokenNorm([0, 3])
    here.total += torch.tensor([1.0, 2.0])
    here.merge(torch.tensor([0.5, 4.0], dtype=torch.float64))
    assert here.total.tolist() == [1.5, 6.0]
