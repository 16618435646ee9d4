"""Activations from anywhere become the topology of their definition."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from probe import api
from probe.errors import UserError
from tests import reference

LENGTHS = (20, 31, 4, 50)


def series(lengths: tuple[int, ...] = LENGTHS, offset: float = 0) -> list[NDArray[np.float64]]:
    """Draw examples of five neurons, whose means may be much larger than their deviations."""
    generator = np.random.default_rng(0)
    shared = [generator.normal(size=(length, 1)) for length in lengths]
    return [
        common * [0, 1, 1, -1, 0] + generator.normal(size=(len(common), 5)) + offset
        for common in shared
    ]


@pytest.mark.parametrize("scheme", ["mean", "fisher", "pooled"])
@pytest.mark.parametrize("offset", [0, 1000])
def test_it_is_the_definition(scheme: str, offset: float) -> None:
    examples = series(offset=offset)
    topology = api.correlate(examples, scheme)
    expected = reference.topology([examples], scheme, topology.weight)
    np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
    assert (topology.examples, topology.layers, topology.undefined) == (4, (0,), ())
    assert {topology.model, topology.data, topology.site, topology.init} == {"given"}
    assert topology.weight == ("token" if scheme == "pooled" else "example")


def test_the_mean_is_that_of_numpys_correlations() -> None:
    examples = series(offset=1000)
    r = [np.corrcoef(x.T) for x in examples]
    np.testing.assert_allclose(api.correlate(examples).matrix, np.mean(r, axis=0), atol=1e-6)
    by_token = np.average(r, axis=0, weights=LENGTHS)
    np.testing.assert_allclose(
        api.correlate(examples, weight="token").matrix, by_token, atol=1e-6
    )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.float16),
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.bfloat16),
        lambda x: torch.tensor(x, dtype=torch.float32, requires_grad=True),
        lambda x: torch.tensor(x.T).T,
        lambda x: torch.tensor(x).to_sparse(),
        lambda x: x[::-1],
        lambda x: x.astype(">f8"),
        lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
    ],
    ids=[
        "float32",
        "float16",
        "float64 tensor",
        "bfloat16 tensor",
        "gradient",
        "transposed",
        "sparse",
        "reversed",
        "big-endian",
        "read-only",
    ],
)
@pytest.mark.filterwarnings("error")
def test_any_floating_type_is_taken_for_what_it_holds(make: Any) -> None:
    examples = [make(x) for x in series()]
    held = [
        x.detach().to_dense().double().numpy() if isinstance(x, torch.Tensor) else x.astype(float)
        for x in examples
    ]
    expected = np.mean([np.corrcoef(x.T) for x in held], axis=0)
    np.testing.assert_allclose(api.correlate(examples).matrix, expected, atol=1e-6)
    np.testing.assert_allclose(api.correlate(iter(examples)).matrix, expected, atol=1e-6)


@settings(derandomize=True, database=None, deadline=None, max_examples=30)
@given(mask=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_masked_tokens_do_not_count(mask: list[list[bool]]) -> None:
    mask = [[True, True, *row] for row in mask]
    array = np.random.default_rng(1).normal(size=(len(mask), 8, 3))
    expected = np.mean(
        [np.corrcoef(x[row].T) for x, row in zip(array, np.array(mask), strict=True)], axis=0
    )
    for given_mask in (mask, np.array(mask, dtype=np.int64), torch.tensor(mask)):
        np.testing.assert_allclose(
            api.correlate(array, mask=given_mask).matrix, expected, atol=1e-6
        )


def test_constant_neurons_are_left_out_where_they_are_constant() -> None:
    examples = series()
    examples[1][:, 2] = 3.0
    for x in examples:
        x[:, 4] = 7.0
    topology = api.correlate(examples)
    assert topology.undefined == (4,)
    assert not topology.matrix[4].any()
    rest = [np.corrcoef(x[:, :3].T)[0, 2] for n, x in enumerate(examples) if n != 1]
    assert topology.matrix[0, 2] == pytest.approx(np.mean(rest), abs=1e-6)


@pytest.mark.parametrize("scheme", ["mean", "fisher"])
def test_spearmans_r_is_scipys_even_where_only_float64_tells_values_apart(scheme: str) -> None:
    examples = series(offset=1e9)  # whose neighbours in float32 are 64 apart
    topology = api.correlate(examples, scheme, correlation="spearman")
    r = np.stack([stats.spearmanr(x).statistic for x in examples])
    expected = r.mean(axis=0)
    if scheme == "fisher":
        expected = np.tanh(np.arctanh(r.clip(-1 + 1e-7, 1 - 1e-7)).mean(axis=0))
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(topology.matrix, expected, atol=1e-6)
    assert topology.correlation == "spearman"
    assert api.correlate(examples).correlation == "pearson"


def test_what_is_known_of_its_noise_stands_beside_it() -> None:
    examples = series((40, 50, 60))
    topology = api.correlate(examples, std=True)
    assert topology.reliability is not None
    assert topology.reliability.tokens == 150
    assert topology.reliability.noise == pytest.approx((1 / 39 + 1 / 49 + 1 / 59) / 9)
    upper = np.triu_indices(5, 1)
    r = [np.corrcoef(x.T)[upper] for x in examples]
    half = stats.pearsonr((r[0] + r[2]) / 2, r[1]).statistic
    assert topology.reliability.split_half == pytest.approx(half, abs=1e-5)
    assert topology.standard_error is not None
    np.testing.assert_allclose(topology.standard_error[upper], stats.sem(r), atol=1e-6)
    [alone] = [api.correlate(examples[:1]).reliability]
    assert alone is not None
    assert alone.split_half is None


def test_it_is_measured_and_kept_like_any_other(tmp_path: Any) -> None:
    topology = api.correlate(series())
    assert len(api.measure(topology).hubs) == 1
    [file] = topology.save(tmp_path)
    np.testing.assert_array_equal(np.load(file), topology.matrix)


ROWS = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("examples", "options", "said"),
    [
        ([], {}, "there are no examples to correlate; give one or more"),
        (["text"], {}, r"example 0 is of type str, not an array \(n_tokens, n_neu"),
        (ROWS, {}, r"example 0 is of shape \(2,\), not an array"),
        ([ROWS.astype(int)], {}, "example 0 has values of type int64, not of a floating"),
        ([ROWS.astype(str)], {}, "example 0 has values of type <U32, not of a floating type"),
        ([torch.zeros(3, 2, dtype=torch.int32)], {}, "values of type torch.int32, not of a"),
        ([ROWS[:, :0]], {}, r"example 0 is of shape \(3, 0\), not an array"),
        ([np.eye(3, 2), np.eye(3)], {}, "example 1 has 3 neurons, but the first has 2; give"),
        ([np.eye(3, 2), np.eye(1, 2)], {}, "example 1 has 1 token, and its correlations need 2"),
        ([np.eye(3, 2), ROWS + np.nan], {}, "example 1 has an activation that is not finite"),
        ([ROWS], {"scheme": "means"}, "scheme='means' is not one of mean, fisher, pooled; did you"),
        ([ROWS], {"weight": "text"}, "weight='text' is not one of example, token"),
        ([ROWS], {"correlation": "rank"}, "correlation='rank' is not one of pearson, spearman"),
        ([ROWS], {"scheme": "pooled", "correlation": "spearman"}, "'spearman' ranks the tokens of"),
        ([ROWS], {"scheme": "pooled", "std": True}, "std=True needs a mean over examples"),
        ([ROWS, ROWS], {"scheme": "fisher"}, "example 0 has 3 tokens, and its correlations need 4"),
        ([np.eye(3, 2)], {"std": True}, "std=True needs two examples or more, and there is one"),
        (None, {}, r"the examples are None; give a list of arrays"),
        (5, {}, r"the examples are of type int; give a list of arrays"),
        ([torch.zeros(3, 2).to(torch.float8_e4m3fn)], {}, "values of type torch.float8_e4m3fn"),
        (ROWS[None], {"mask": "all"}, "the mask is of type str, not an array"),
        (ROWS[None], {"mask": [[0, 0, -np.inf]]}, "the mask has other values than 0 and 1; give 1"),
        ([ROWS], {"mask": [[1, 1, 1]]}, r"a mask .* their shapes are \(1, 3\) and \(\)"),
        (ROWS[None], {"mask": [[1, 1]]}, r"their shapes are \(1, 2\) and \(1, 3, 2\)"),
        (ROWS[None], {"mask": [[1, 0, 0]]}, "example 0 has 1 token, and"),
    ],
)
def test_mistakes_are_told_in_a_sentence(examples: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        api.correlate(examples, **options)
