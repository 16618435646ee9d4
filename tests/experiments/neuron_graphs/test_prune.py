"""Pruning and saliency, beside brute force."""

import warnings

import numpy as np
import pytest

from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.prune import Pruned, prune
from experiments.neuron_graphs.saliency import importance, saliency
from experiments.neuron_graphs.texts import Text
from tests.experiments.neuron_graphs.oracles import CAT, MASK, THE, Oracle, drive, text, when


def pruned(oracle: Oracle, *ids: int, preset: str = "consistent", context: int = 30) -> Pruned:
    whole = text(oracle, *ids)
    pivot = int(whole.activations.argmax())
    return drive(prune(whole, pivot, PRESETS[preset], context), oracle)


def hashed(ids: tuple[int, ...], at: int) -> float:
    """Return a number of the context that is not monotone in its length."""
    return float(np.random.default_rng([*ids[: at + 1], 17]).random())


@pytest.mark.parametrize("seed", range(20))
def test_the_suffix_is_the_shortest_that_keeps_half(seed: int) -> None:
    oracle = when(hashed)
    ids = tuple(np.random.default_rng(seed).integers(1, 30, 25).tolist())
    whole = text(oracle, *ids)
    pivot = int(whole.activations.argmax())
    shares = [
        oracle(ids[start : pivot + 1])[-1] / whole.activations[pivot] for start in range(pivot + 1)
    ]
    expected = max(start for start, share in enumerate(shares) if share >= 0.5)
    found = pruned(oracle, *ids)
    assert (found.start, found.ok) == (expected, True)
    assert found.activations.tolist() == oracle(ids[expected : pivot + 1])


def test_no_length_is_left_out_where_activations_are_not_monotone() -> None:
    odd = when(lambda ids, at: (ids[at] == CAT) * (1.0 if at == 1 or at >= 4 else 0.1))
    assert pruned(odd, 9, 9, 9, 9, CAT).start == 3


def test_a_pivot_at_the_start_and_short_contexts() -> None:
    first = when(lambda _, at: at == 0)
    assert pruned(first, CAT, 9, 9).start == 0
    third = when(lambda ids, at: at == 2 and ids[0] == THE)
    for preset in PRESETS:
        assert pruned(third, THE, 8, CAT, 9, preset=preset).start == 0, preset


def test_a_context_that_is_too_short_is_told() -> None:
    far = when(lambda ids, at: ids[at] == CAT and at >= 40)
    found = pruned(far, *[9] * 100, CAT)
    assert (found.start, found.ok) == (100 + 1 - 30, False), "the longest is kept whatever it is"
    found = pruned(far, *[9] * 100, CAT, context=64)
    assert (found.start, found.ok) == (100 + 1 - 41, True)


def test_what_is_known_is_not_asked_for() -> None:
    whole = text(when(lambda ids, at: ids[at] == CAT), 9, 9, CAT, 9)
    asked = prune(whole, 2, PRESETS["consistent"], 30).send(None)  # type: ignore[arg-type]
    assert [ask.ids for ask in asked] == [(CAT,), (9, CAT)]


def test_the_papers_code_tries_every_fifth_length() -> None:
    seven = when(lambda ids, at: ids[at] == CAT and at >= 6)
    assert pruned(seven, *[9] * 40, CAT, preset="paper_code").start == 41 - 10
    assert pruned(seven, *[9] * 40, CAT).start == 41 - 7
    never = when(lambda ids, at: ids[at] == CAT and at >= 35)
    found = pruned(never, *[9] * 40, CAT, preset="paper_code")
    assert (found.start, found.ok) == (41 - 30, False), "the longest is taken whatever it is"


def test_contexts_double_until_one_is_enough() -> None:
    """A long context costs rows of a few lengths, not all rows of the longest."""
    for far in (5, 12, 60, 127):
        asked: list[int] = []

        def counts(ids: tuple[int, ...], far: int = far, asked: list[int] = asked) -> list[float]:
            asked.append(len(ids))
            return [float(ids[at] == CAT and at >= far) for at in range(len(ids))]

        whole = Text((9,) * 199 + (CAT,), np.array([0.0] * 199 + [1.0]))
        found = drive(prune(whole, 199, PRESETS["consistent"], 200), counts)
        assert (found.start, found.ok) == (199 - far, True)
        assert max(asked) < max(9, 2 * (far + 1))


def test_the_papers_code_never_looks_farther_than_it_is_told() -> None:
    far = when(lambda ids, at: ids[at] == CAT and at >= 40)
    assert pruned(far, *[9] * 60, CAT, preset="paper_code", context=4).start == 61 - 4


def test_what_is_behind_the_pivot_is_kept_and_changes_nothing() -> None:
    louder = when(lambda ids, at: {CAT: 1.0, THE: 3.0}.get(ids[at], 0.0) * (at >= 6))
    whole = Text((9,) * 12 + (CAT, 8, THE, 9), np.array([0.0] * 12 + [1.0, 0.0, 0.9, 0.0]))
    found = drive(prune(whole, 12, PRESETS["paper_code"], 30, behind=2), louder)
    assert (found.start, found.pivot, found.ok) == (13 - 10, 9, True)
    assert found.activations.tolist() == [0] * 9 + [1, 0, 3]


def test_what_stands_before_the_middle_of_a_text_is_not_pruned() -> None:
    oracle = when(lambda ids, at: ids[at] == CAT and ids[0] == 33)
    whole = Text((9, 8, CAT), np.array([0.0, 0.0, 1.0]), (33,), (33,))
    assert drive(prune(whole, 2, PRESETS["consistent"], 30), oracle).start == 2


@pytest.mark.parametrize("seed", range(5))
def test_importance_is_that_of_a_double_loop(seed: int) -> None:
    def oracle(ids: tuple[int, ...]) -> list[float]:
        # Some are 0, as of a neuron with ReLU, and some negative.
        raw = [hashed(ids, at) - 0.3 for at in range(len(ids))]
        return [0.0 if ids[at] % 5 == 0 else raw[at] for at in range(len(ids))]

    ids = tuple(np.random.default_rng(seed).integers(1, 30, 12).tolist())
    original = np.array(oracle((7, *ids)))[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = drive(saliency((7,), ids, original, 9, MASK, 6, True), oracle)
    expected = np.zeros((12, 12))
    for k in range(12):
        masked = oracle((7, *ids[:k], MASK, *ids[k + 1 :]))[1:]
        for j in range(12):
            if 4 <= k <= j <= 9 and original[j] != 0:
                expected[k, j] = 1 - masked[j] / original[j]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found[np.tril_indices(12, -1)] == 0).all()


def test_a_token_that_inhibits_has_a_negative_importance() -> None:
    assert importance(np.array([1.0]), np.array([[1.5], [-0.5]])).tolist() == [[-0.5], [1.5]]
