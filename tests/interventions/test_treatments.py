"""Treatments and shares of the norm against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import UserError
from probe.interventions.treatments import TREATMENTS, Treatment, norm_shares

SHAPE = (2, 5, 7)
X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
CHOSEN = np.random.default_rng(1).random((2, 7)) < 0.4
MEAN = np.random.default_rng(2).normal(size=7).astype(np.float32)
NOISE = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
NEW = {
    "zero": (None, np.zeros(SHAPE, dtype=np.float32)),
    "mean": (None, np.broadcast_to(MEAN, SHAPE)),
    "noise": (None, X + NOISE),
    "add": (2.5, X + np.float32(2.5)),
    "scale": (-3.0, X * np.float32(-3)),
}


def treated(name: str, amount: float | None, chosen: np.ndarray) -> np.ndarray:
    x, mask, mean, noise = map(torch.from_numpy, (X, chosen, MEAN, NOISE))
    return Treatment(name, amount)(x, mask, mean, noise).numpy()


@pytest.mark.parametrize("name", TREATMENTS)
def test_chosen_neurons_are_treated_and_no_others(name: str) -> None:
    amount, new = NEW[name]
    expected = np.where(CHOSEN[:, None], new, X)
    np.testing.assert_array_equal(treated(name, amount, CHOSEN), expected)
    for_all = np.where(CHOSEN[0], new, X)
    np.testing.assert_array_equal(treated(name, amount, CHOSEN[:1]), for_all)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_keeps_every_bit(dtype: torch.dtype) -> None:
    x = torch.tensor([[[-0.0, torch.nan, torch.inf, 1e-40]]], dtype=dtype)
    everything = torch.ones(1, 4, dtype=torch.bool)
    nothing = ~everything
    found = [Treatment("add", 0)(x, everything), Treatment("scale", 1)(x, everything)]
    for name in TREATMENTS:
        treatment = Treatment(name, NEW[name][0])
        found.append(treatment(x, nothing, torch.ones(4), torch.ones_like(x)))
    bits = {torch.float32: torch.int32}.get(dtype, torch.int16)
    for one in found:
        assert one.dtype is dtype
        assert torch.equal(one.view(bits), x.view(bits))


@given(seed=st.integers(0, 99), share=st.floats(0, 1))
def test_shares_are_those_of_the_squared_norm(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, *SHAPE)).astype(np.float32)
    chosen, attended = generator.random((2, 7)) < share, generator.random((2, 5)) < 0.8
    attended[:, 0] = True
    found = norm_shares(*map(torch.from_numpy, (x, y, chosen, attended)))
    for row in range(2):
        before, after = (z[row][attended[row]].astype(np.float64) for z in (x, y))
        total = (before**2).sum()
        held, moved = (before[:, chosen[row]] ** 2).sum(), ((after - before) ** 2).sum()
        assert found[0][row] == pytest.approx(held / total, rel=1e-5)
        assert found[1][row] == pytest.approx(moved / total, rel=1e-5)


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="the treatment remove is unknown; choose of mean, zero"):
        Treatment("remove")
    with pytest.raises(UserError, match="the treatment scale needs an amount"):
        Treatment("scale")
    with pytest.raises(UserError, match="the treatment zero has no amount; leave it out"):
        Treatment("zero", 0.0)
    assert [str(Treatment("zero")), str(Treatment("add", 2.0))] == ["zero", "add 2"]
