"""Controls of a mask: as many units a layer, outside it, of like RMS, or the loudest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import UserError
from probe.interventions.controls import CONTROLS, control, from_other_layers


def drawn(seed: int, sizes: list[int], share: float) -> tuple[dict, dict]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    mask, rms = {}, {}
    for layer, size in enumerate(sizes):
        mask[2 * layer] = np.zeros(size, dtype=bool)
        count = generator.integers(0, max(1, int(share * size)) + 1)
        mask[2 * layer][generator.permutation(size)[:count]] = True
        rms[2 * layer] = generator.exponential(size=size) * 3**layer
    return mask, rms


@given(
    seed=st.integers(0, 999),
    sizes=st.lists(st.integers(4, 30), min_size=1, max_size=4),
    share=st.floats(0, 0.5),
)
def test_controls_are_as_many_others(seed: int, sizes: list[int], share: float) -> None:
    mask, rms = drawn(seed, sizes, share)
    counts = {layer: int(own.sum()) for layer, own in mask.items()}
    for name in CONTROLS:
        found = control(name, mask, rms, np.random.default_rng(seed))
        assert found.keys() == mask.keys()
        assert not any((found[layer] & own).any() for layer, own in mask.items())
        assert sum(int(own.sum()) for own in found.values()) == sum(counts.values())
        if name != "largest_rms":
            assert {layer: int(own.sum()) for layer, own in found.items()} == counts


def test_the_loudest_are_those_of_all_layers_together() -> None:
    mask = {0: np.array([True, False, False, False]), 5: np.array([False, True, False, False])}
    rms = {0: np.array([9.0, 2.0, 1.0, 0.5]), 5: np.array([3.0, 8.0, 7.0, 1.0])}
    found = control("largest_rms", mask, rms, np.random.default_rng(0))
    assert not found[0].any()
    assert found[5].tolist() == [True, False, True, False]


def test_units_of_like_rms_are_alike_and_random_ones_are_not() -> None:
    rms = {1: np.repeat(np.logspace(-3, 3, 200), 2)}
    mask = {1: np.zeros(400, dtype=bool)}
    mask[1][[40, 200, 380]] = True
    choices = set()
    for seed in range(20):
        found = control("random_rms", mask, rms, np.random.default_rng(seed))[1]
        ratio = np.sort(rms[1][found]) / rms[1][mask[1]]
        assert ((ratio > 0.9) & (ratio < 1.1)).all()
        choices.add(tuple(np.flatnonzero(found)))
    assert len(choices) > 5
    random = [control("random", mask, rms, np.random.default_rng(s))[1] for s in range(300)]
    # Every unit outside is as likely as the others: 300 × 3 / 397 times.
    times = np.sum(random, axis=0)
    assert times[mask[1]].sum() == 0
    assert times.sum() == 900
    assert times.max() <= 12


@given(seed=st.integers(0, 99), own=st.integers(6, 10))
def test_what_a_layer_lacks_is_drawn_from_the_others(seed: int, own: int) -> None:
    mask = {0: np.arange(10) < own, 3: np.arange(20) < 2}
    rms = {0: np.linspace(1, 2, 10), 3: np.linspace(1, 3, 20)}
    assert from_other_layers(mask) == 2 * own - 10
    for name in ("random", "random_rms"):
        found = control(name, mask, rms, np.random.default_rng(seed))
        assert found[0].tolist() == (~mask[0]).tolist(), "all that the layer has"
        assert found[3].sum() == 2 + 2 * own - 10
        assert not (found[3] & mask[3]).any()
    loudest = control("largest_rms", mask, rms, np.random.default_rng(seed))
    assert sum(part.sum() for part in loudest.values()) == own + 2


def test_a_mask_without_others_is_told() -> None:
    mask = {4: np.array([True, True, True, False, False])}
    rms = {4: np.ones(5)}
    for name in CONTROLS:
        with pytest.raises(UserError, match="a mask has 3 of the 5 neurons of its layers, so that"):
            control(name, mask, rms, np.random.default_rng(0))
