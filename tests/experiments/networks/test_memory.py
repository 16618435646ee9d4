"""What is said of memory before is not exceeded, and what cannot fit is refused."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from experiments.networks import memory, signals
from experiments.networks.decomposition import Method, decompose, reduce
from experiments.networks.memory import bytes_needed, check_memory
from experiments.networks.rotation import Solver
from experiments.networks.signals import Signals
from probe.api import UserError


@pytest.mark.parametrize(
    ("method", "solver"),
    [
        ("canica", "fastica"), ("spatial", "fastica"), ("temporal", "fastica"),
        ("spatial", "picard"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("n_tokens", "samples"), [(300, 3), (800, 20)])
def test_memory_is_below_what_is_said_and_half_of_the_signals(
    method: Method, solver: Solver, n_tokens: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (signals, memory):
        monkeypatch.setattr(module, "BLOCK", 1 << 16)
    n_units, k = 2000, 5
    values = np.random.default_rng(0).laplace(size=(n_tokens, n_units)).astype(np.float32)
    lengths = [n_tokens // samples] * samples
    # What is imported late, and the first call's, is not counted.
    decompose(reduce(Signals.of(values[:50, :60]), 2, method), [0], "cube", solver, 1)
    tracemalloc.start()
    decompose(reduce(Signals.of(values, "zscore", lengths), k, method), [0], "cube", solver, 3)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    needed = bytes_needed(lengths, n_units, k, method, solver)
    assert 0.4 * needed < taken <= needed
    assert taken <= 0.5 * values.nbytes


def test_more_of_anything_takes_more() -> None:
    least = bytes_needed([1000], 10_000, 10, "spatial")
    more: list[Any] = [
        ([4000], 10_000, 10, "spatial"), ([1000], 20_000, 10, "spatial"),
        ([1000], 10_000, 20, "spatial"), ([1000], 10_000, 10, "spatial", "picard"),
    ]  # fmt: skip
    assert all(bytes_needed(*arguments) >= least for arguments in more)


def test_what_does_not_fit_is_refused() -> None:
    check_memory(10, None)
    check_memory(10, 10)
    message = "networks take 3.00 GB beyond the signals, and 2.00 GB are free; read fewer layers"
    with pytest.raises(UserError, match=message):
        check_memory(3_000_000_000, 2_000_000_000)
