"""Ranks are SciPy's, and their correlations Spearman's, whatever is padded or left out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probe.correlation import make_sums, rank, ranks
from probe.topology.reliability import white_noise

CPU = torch.device("cpu")
steady = settings(derandomize=True, database=None, deadline=None, max_examples=60)
TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@steady
@given(
    st.integers(0, 10**6),
    st.sampled_from(TYPES),
    st.sampled_from([1, 8, 1 << 17]),
    st.booleans(),
)
def test_ranks_are_those_of_the_tokens_that_count(
    seed: int, dtype: torch.dtype, piece: int, tied: bool
) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 5), rng.integers(1, 30), rng.integers(1, 6)
    drawn = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4)
    x = torch.tensor(np.round(drawn * 2) / 2 if tied else drawn).to(dtype)
    keep = torch.tensor(rng.random(shape[:2]) < 0.7)
    x[~keep] = torch.tensor(rng.choice([np.nan, np.inf, -np.inf, 0.0])).to(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ranks._PIECE, "cpu", piece)
        found = rank(x, keep)
    assert found.dtype is torch.float32
    assert not found[~keep].any()
    for series, counts, got in zip(x.double().numpy(), keep.numpy(), found.numpy(), strict=True):
        expected = stats.rankdata(series[counts], axis=0) if counts.any() else series[counts]
        np.testing.assert_array_equal(got[counts], expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_zeros_of_both_signs_are_equal(dtype: torch.dtype) -> None:
    x = torch.tensor([[[0.0], [-0.0], [1.0], [-0.0], [-1.0]]], dtype=dtype)
    found = rank(x, torch.ones(1, 5, dtype=torch.bool))
    assert found.flatten().tolist() == [3, 3, 5, 3, 1]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_found_behind_its_rank(bad: float) -> None:
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    x[1, 4, 2] = bad
    keep = torch.ones(2, 9, dtype=torch.bool)
    finite = make_sums("mean", False, 3, 1, CPU).update(rank(x, keep), keep, torch.ones(2).double())
    assert finite.tolist() == [True, False]


def test_ranks_of_the_longest_contexts_are_exact() -> None:
    tokens = 1 << 18
    x = torch.arange(tokens, dtype=torch.float32).flip(0)[None, :, None]
    x[0, :2] = tokens  # a tie at the largest ranks
    found = rank(x, torch.ones(1, tokens, dtype=torch.bool))[0, :, 0]
    assert torch.equal(found[:2].double(), torch.full((2,), tokens - 0.5).double())
    assert torch.equal(found[2:].double(), torch.arange(tokens - 2, 0, -1).double())


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
@pytest.mark.parametrize("tokens", [12, 40])
def test_chance_is_that_of_simulated_white_noise(scheme: str, tokens: int) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((20, tokens, 150)))
    keep = torch.ones(20, tokens, dtype=torch.bool)
    sums = make_sums(scheme, False, 150, 1, CPU)
    sums.update(rank(x, keep), keep, torch.ones(20).double())
    r = sums.finish().matrix.numpy()[np.triu_indices(150, 1)]
    lost = {"mean": 1, "fisher": 3}[scheme]
    noise = white_noise(np.full(20, tokens - lost), np.ones(20))
    # 11,175 pairs: the mean |r| of white noise is known to a hundredth.
    assert np.abs(r).mean() == pytest.approx(np.sqrt(2 / np.pi * noise), rel=0.03)


def test_one_texts_rank_correlation_varies_by_its_tokens_less_one() -> None:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((1, 20, 300)))
    keep = torch.ones(1, 20, dtype=torch.bool)
    sums = make_sums("mean", False, 300, 1, CPU)
    sums.update(rank(x, keep), keep, torch.ones(1).double())
    r = sums.finish().matrix.numpy()[np.triu_indices(300, 1)]
    # Exact for any series without ties (Kendall 1948, section 5.9).
    assert r.var() == pytest.approx(1 / 19, rel=0.03)
