"""Standardised signals are SciPy's, and nothing is lost on the way."""

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from experiments.networks import signals as module
from experiments.networks.signals import Signals, gather
from probe.api import UserError


def _whole(signals: Signals) -> NDArray[np.float64]:
    found = np.full(signals.shape, np.nan)
    for units, block in signals.blocks():
        found[:, units] = block
    return found


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float32]:
    monkeypatch.setattr(module, "BLOCK", 8 * 40 * 20)  # several blocks of units and of tokens
    rng = np.random.default_rng(0)
    return (rng.normal(size=(40, 70)) * rng.uniform(0.1, 10, 70) + 100).astype(np.float32)


@pytest.mark.parametrize("order", ["C", "F"])
def test_z_scores_are_scipys(values: NDArray[np.float32], order: str) -> None:
    signals = Signals.of(np.asarray(values, order=order))
    expected = stats.zscore(values.astype(np.float64), axis=0)
    np.testing.assert_allclose(_whole(signals), expected, atol=1e-10)


def test_raw_signals_are_as_recorded_and_can_be_centred(values: NDArray[np.float32]) -> None:
    raw = Signals.of(values, "none")
    np.testing.assert_array_equal(_whole(raw), values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(_whole(raw.centred()), exact - exact.mean(axis=0), atol=1e-10)
    scored = Signals.of(values)
    assert scored.centred() is scored


def test_the_file_is_read_only_and_not_copied(values: NDArray[np.float32]) -> None:
    values.setflags(write=False)
    signals = Signals.of(values)
    _whole(signals)
    assert signals.values is values


@pytest.mark.parametrize("rule", ["zscore", "centre", "none"])
def test_constant_units_are_zero_under_every_rule(
    values: NDArray[np.float32], rule: module.Rule
) -> None:
    values[:, [3, 50]] = [0.0, 1e4]
    signals = Signals.of(values, rule)
    assert np.flatnonzero(~signals.varying).tolist() == [3, 50]
    assert not _whole(signals)[:, [3, 50]].any()


def test_quiet_units_vary() -> None:
    values = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32) * np.float32(1e-12)
    assert Signals.of(values).varying.all()


def test_blocks_are_gathered_in_order(values: NDArray[np.float32]) -> None:
    blocks: Iterable[NDArray[np.float32]] = iter(np.array_split(values, [7, 8, 30]))
    np.testing.assert_array_equal(gather(blocks, np.empty_like(values)), values)


def test_signals_that_are_all_constant_are_refused() -> None:
    with pytest.raises(UserError, match="all 5 signals are constant over 4 tokens"):
        Signals.of(np.full((4, 5), 2, dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(values: NDArray[np.float32], value: float) -> None:
    values[33, 61] = value
    with pytest.raises(UserError, match=f"unit 61 at token 33 is {value}"):
        Signals.of(values)
