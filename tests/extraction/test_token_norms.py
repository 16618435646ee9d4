"""Norms over the median, and which tokens stand out, are what NumPy makes of them, text by text."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.config import Side
from probe.examples.batches import Batch, Tensors
from probe.extraction.token_norms import (
    TokenNorms,
    over_median,
    token_norms,
    without_outliers,
)
from tests import reference

steady = settings(derandomize=True, database=None, deadline=None, max_examples=25)
ABOVE = 4.0
LAYERS = [2, 5]
Text = tuple[list[int], list[np.ndarray]]  # token ids, and the activations of every layer


def draw(seed: int, lengths: list[int]) -> list[Text]:
    rng = np.random.default_rng(seed)
    texts = []
    for n in lengths:
        layers = [rng.normal(size=(n, 5)).astype(np.float32) for _ in LAYERS]
        for x in layers:
            x[rng.random(n) < 0.2] *= 30
        texts.append((rng.integers(0, 4, n).tolist(), layers))
    return texts


def read(norms: TokenNorms, texts: list[Text], side: Side, skip: int) -> None:
    """Add texts as one batch, with padding that would show if it were counted."""
    tensors = Batch([], [ids for ids, _ in texts]).tensors(0, side, skip)
    ratios = []
    for place in range(len(LAYERS)):
        x = torch.full((*tensors.tokens.shape, 5), 1e4)
        for row, (_, layers) in enumerate(texts):
            x[row][tensors.attended[row]] = torch.from_numpy(layers[place])
        ratios.append(over_median(token_norms(x), tensors.keep))
    norms.update(torch.stack(ratios).numpy(), tensors)


def expected(texts: list[Text], place: int, skip: int) -> dict[str, object]:
    first, largest, positions, tokens = [], [], Counter[int](), dict[int, list[float]]()
    for ids, layers in texts:
        ratios = reference.norm_ratios(layers[place][skip:])
        first.append(ratios[0])
        largest.append(ratios.max())
        for position in np.flatnonzero(ratios > ABOVE):
            positions[skip + int(position)] += 1
            tokens.setdefault(ids[skip + position], []).append(ratios[position])
    return {
        "first": np.mean(first), "largest": np.mean(largest), "most": np.max(largest),
        "positions": positions,
        "tokens": {token: (len(found), max(found)) for token, found in tokens.items()},
    }  # fmt: skip


@steady
@given(
    st.lists(st.integers(6, 30), min_size=2, max_size=7),
    st.sampled_from(list(Side)),
    st.integers(0, 2),
    st.integers(1, 6),
    st.integers(0, 10**6),
)
def test_norms_are_numpys_however_texts_are_padded_and_dealt_out(
    lengths: list[int], side: Side, skip: int, batch: int, seed: int
) -> None:
    texts = draw(seed, lengths)
    ranks = [TokenNorms(LAYERS, ABOVE) for _ in range(2)]
    for number, start in enumerate(range(0, len(texts), batch)):
        read(ranks[number % 2], texts[start : start + batch], side, skip)
    total = TokenNorms(LAYERS, ABOVE)  # as a session that resumes
    for rank in ranks:
        total.merge(rank.state())
    record = total.record(len(texts))
    assert record["above"] == ABOVE
    for place, layer in enumerate(record["layers"]):
        of = expected(texts, place, skip)
        assert layer["layer"] == LAYERS[place]
        for name in ("first", "largest", "most"):
            assert layer[name] == pytest.approx(of[name], rel=1e-5, abs=1e-4)
        binned = Counter[str]()
        for position, count in of["positions"].items():  # type: ignore[attr-defined]
            low = 1 << position.bit_length() >> 1
            binned[str(low) if low < 2 else f"{low}-{2 * low - 1}"] += count
        assert layer["positions"] == binned
        assert layer["tokens_above"] == binned.total()
        named = {token: (count, most) for token, count, most in layer["tokens"]}
        assert named.keys() == of["tokens"].keys()  # type: ignore[attr-defined]
        for token, (count, most) in of["tokens"].items():  # type: ignore[attr-defined]
            assert named[token] == (count, pytest.approx(most, rel=1e-5))


def test_the_most_frequent_tokens_are_named_first_and_no_more_than_twenty() -> None:
    norms = TokenNorms([0], 2)
    tensors = Batch([0], [[*range(30), 7, 7, 9]]).tensors(0, Side.right, 0)
    norms.update(np.full((1, 1, 33), 3, dtype=np.float32), tensors)
    [layer] = norms.record(1)["layers"]
    assert layer["tokens"][:3] == [[7, 3, 3.0], [9, 2, 3.0], [0, 1, 3.0]]
    assert len(layer["tokens"]) == 20
    assert layer["tokens_above"] == 33


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_beyond_half_precision_do_not_overflow(dtype: torch.dtype) -> None:
    values = torch.full((1, 9, 64), 3e4)
    values[:, 0] *= 2
    ratios = over_median(token_norms(values.to(dtype)), torch.ones(1, 9, dtype=torch.bool))
    assert ratios[0, 0].item() == pytest.approx(2, rel=1e-2)


def test_a_text_whose_median_is_zero_has_no_outliers() -> None:
    norms, keep = torch.tensor([[0.0, 0.0, 5.0]]), torch.ones(1, 3, dtype=torch.bool)
    assert over_median(norms, keep).tolist() == [[0, 0, 0]]


def test_what_is_not_finite_is_no_outlier_that_could_be_dropped() -> None:
    norms = torch.tensor([[1.0, 1.0, torch.inf, torch.nan, 50.0, 1.0]])
    keep = torch.ones(1, 6, dtype=torch.bool)
    rest, left = without_outliers(over_median(norms, keep), keep, 10)
    assert rest.tolist() == [[True, True, True, True, False, True]]
    assert left.all()


def test_of_a_text_with_fewer_than_two_tokens_one_stays_which_defines_nothing() -> None:
    keep = torch.tensor([[False, True, True, False], [True, True, True, True]])
    ratios = torch.tensor([[0, 1.0, 20.0, 0], [1.0, 1.0, 20.0, 1.0]])
    rest, left = without_outliers(ratios, keep, 10)
    assert left.tolist() == [False, True]
    assert rest.tolist() == [[False, True, False, False], [True, True, False, True]]


def test_nothing_is_known_of_texts_that_were_not_read() -> None:
    [layer] = TokenNorms([3], 10).record(1)["layers"]
    assert (layer["tokens_above"], layer["positions"], layer["tokens"]) == (0, {}, [])
    norms = TokenNorms([0], ABOVE)
    norms.merge(norms.state())
    tokens = Tensors(*(torch.ones(1, 4, dtype=dtype) for dtype in (torch.long, *[torch.bool] * 2)))
    norms.update(np.ones((1, 1, 4), dtype=np.float32), tokens)
    assert norms.record(1)["layers"][0]["largest"] == 1
