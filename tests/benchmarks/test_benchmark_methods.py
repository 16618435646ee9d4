"""All methods that are timed compute the same matrix."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import baselines
from benchmarks.ours import Ours
from benchmarks.shapes import SHAPES, make_model
from benchmarks.timing import Timing, interleave
from probe.examples.batches import Batch

CPU = torch.device("cpu")


@pytest.mark.parametrize("layers", [[0, 1, 2], [1]])
@pytest.mark.parametrize(
    "pool", [ThreadPoolExecutor, pytest.param(baselines.pool, marks=pytest.mark.processes)]
)
def test_every_method_computes_the_same_matrix(layers: list[int], pool: Any) -> None:
    model = make_model("tiny", torch.float32, CPU)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(SHAPES["tiny"]["vocab_size"], (3, 20), generator=generator)
    batch = Batch([0, 1, 2], tokens.tolist())
    ours = Ours(model.get_submodule("model"), batch, layers, "all", "mean")
    [matrix] = ours.matrices()
    np.testing.assert_allclose(baselines.plain(model, tokens, layers), matrix, atol=1e-6)
    with pool(1) as executor:
        published, seconds = baselines.published(model, tokens, layers, executor)
    np.testing.assert_allclose(published, matrix, atol=1e-6)
    assert seconds >= 0


def test_methods_are_timed_in_turn_after_a_round_that_warms_up() -> None:
    calls: list[str] = []

    def method(name: str) -> float:
        calls.append(name)
        return 2.0

    timings = interleave({"a": lambda: method("a"), "b": lambda: method("b")}, 3, CPU)
    assert calls == ["a", "b"] * 4
    assert all(len(timing.wall) == 3 for timing in timings.values())
    assert min(timings["b"].cpu) >= 2


def test_ratios_are_those_of_the_same_round() -> None:
    slow, quick = Timing([2.0, 30.0, 4.0], [1.0, 1.0, 1.0]), Timing([1.0, 10.0, 4.0], [2.0] * 3)
    assert slow.over(quick) == (2.0, 0.5)
