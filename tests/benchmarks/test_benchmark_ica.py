"""Both ways of the benchmark of ICA find the same networks, and memory is that of arrays."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from benchmarks import ica
from benchmarks.timing import Timing
from experiments.networks.decomposition import Method
from experiments.networks.matching import match


def test_both_ways_find_the_same_networks(tmp_path: Path) -> None:
    values = ica.planted(tmp_path / "signals.npy", 300, 400, 3)
    assert isinstance(values, np.memmap)
    for dtype in ("float32", "float64"):
        direct = ica.direct(values, 3, dtype)
        assert np.abs(match(direct, ica.ours(values, 3, "temporal")).r).min() > 0.999


def test_memory_is_the_most_that_is_held() -> None:
    def call() -> float:
        np.zeros(3_000_000)
        kept = np.zeros(1_000_000)
        return float(kept[0])

    assert ica.peak(call) == pytest.approx(24e6, rel=1e-2)


def test_the_report_has_ratios_within_a_round_and_shares_of_the_signals() -> None:
    ours = [f"ours, {method}" for method in get_args(Method)]
    maps = np.random.default_rng(0).normal(size=(2, 20))
    names = [*ours, ica.DIRECT]
    timings = {name: Timing([2.0, 4.0, 6.0], [1.0] * 3) for name in ours}
    timings[ica.DIRECT] = Timing([20.0, 60.0, 90.0], [3.0] * 3)
    size = 4 * ica.TOKENS * ica.UNITS
    report = ica.report(timings, dict.fromkeys(names, maps), dict.fromkeys(ours, size // 4), 3)
    assert report.rows[-1] == [ica.DIRECT, "60", "15.0", "3", "3.0", "1.00000 (1.00000)", ""]
    assert [row[-1] for row in report.rows[:-1]] == ["0.25"] * 3
