"""Design matrices of scans: exact boxcars, drift below the task, nuisance that adds something."""

import builtins
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_scans import blocks, scan

from experiments.task_mapping.design import average_over_prompts, make_design
from probe.api import UserError


def test_the_boxcar_is_1_exactly_on_the_tokens_of_task_blocks() -> None:
    tokens = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5])
    on = blocks(3, 3)
    design = make_design(on, tokens, "tokens_ols")
    expected = np.repeat(on, tokens)
    assert design.matrix["task"].tolist() == expected.tolist()
    assert design.exchangeable.tolist() == np.repeat([0, 1, 2], [8, 15, 13]).tolist()
    assert design.matrix.columns.tolist() == ["task", "drift_1", "constant"]
    assert design.contrast.tolist() == [1, 0, 0]
    assert design.dof == 36 - 3


def test_the_boxcar_is_exact_for_all_lengths() -> None:
    """For about one length in ten nilearn rounds an onset to the token behind it."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        n_blocks, n_prompts = rng.integers(3, 9), rng.integers(2, 7)
        on = blocks(int(n_blocks), int(n_prompts))
        tokens = rng.integers(1, 9, len(on))
        task = make_design(on, tokens, "tokens_ols").matrix["task"]
        assert task.tolist() == np.repeat(on, tokens).tolist()


@pytest.mark.parametrize("n_blocks", range(2, 40))
def test_there_is_a_cosine_for_every_two_blocks(n_blocks: int) -> None:
    # floor(2 T f) with f = 1/(4 block), T = n_blocks · block.
    design = scan(n_blocks=n_blocks, n_prompts=3, n_tokens=7)
    drifts = design.matrix.filter(like="drift").to_numpy()
    assert drifts.shape == (21 * n_blocks, n_blocks // 2)
    frames = np.arange(len(drifts))
    for order, column in enumerate(drifts.T, 1):
        cosine = np.cos(np.pi * order * (frames + 0.5) / len(drifts))
        np.testing.assert_allclose(column, cosine * np.sqrt(2 / len(drifts)), atol=1e-12)


def test_columns_of_prompts_are_means_over_their_tokens() -> None:
    rng = np.random.default_rng(0)
    on, tokens = blocks(7), rng.integers(1, 9, 35)
    of_tokens = make_design(on, tokens, "tokens_ols").matrix
    of_prompts = make_design(on, tokens, "prompt_ols")
    starts = np.cumsum(tokens) - tokens
    for prompt, (start, n) in enumerate(zip(starts, tokens, strict=True)):
        expected = of_tokens.iloc[start : start + n].mean()
        np.testing.assert_allclose(of_prompts.matrix.iloc[prompt], expected, atol=1e-12)
    assert of_prompts.matrix["task"].tolist() == on.tolist()
    assert of_prompts.exchangeable.tolist() == list(range(35))


def test_signals_are_averaged_in_float64() -> None:
    values = np.full((4, 1), 2**24, dtype=np.float32)
    values[1] = 1
    found = average_over_prompts(values.astype(np.float64), np.array([2, 2]))
    assert found.tolist() == [[(2**24 + 1) / 2], [2**24]]


def test_nuisance_that_adds_nothing_is_dropped_and_named() -> None:
    on, tokens = blocks(7), np.full(35, 8)
    rng = np.random.default_rng(0)
    length = np.repeat(rng.integers(5, 20, 35), 8).astype(float)
    nuisance = pd.DataFrame(
        {"position": np.tile(np.arange(8.0), 35), "length": length, "twice": 2 * length + 3,
         "always": np.full(280, 7.0), "task_again": np.repeat(on, tokens).astype(float)}
    )  # fmt: skip
    design = make_design(on, tokens, "tokens_ar1", nuisance)
    assert design.dropped == ("twice", "always", "task_again")
    assert design.matrix.columns[-2:].tolist() == ["position", "length"]
    np.testing.assert_allclose(design.matrix[["position", "length"]].mean(), 0, atol=1e-12)
    assert np.linalg.matrix_rank(design.matrix) == design.matrix.shape[1]
    # The mean position is the same for every prompt.
    prompts = make_design(on, tokens, "prompt_ols", nuisance)
    assert prompts.dropped == ("position", "twice", "always", "task_again")


@pytest.mark.parametrize(
    ("on", "tokens", "nuisance", "message"),
    [
        (np.ones(4, bool), np.ones(4, int), None, "4 of its 4 are of the task"),
        (np.zeros(4, bool), np.ones(4, int), None, "0 of its 4 are of the task"),
        (blocks(3, 2), np.array([1, 1, 0, 1, 1, 1]), None, "prompt 2 of the scan has no tokens"),
        (blocks(3, 1), np.ones(3, int), None, "3 observations of a scan cannot be fitted by 3"),
        (blocks(3, 2), np.ones(6, int), pd.DataFrame({"length": [0, 0, np.inf, 0, 0, 1]}),
         "the nuisance regressor length has values that are not finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_told(
    on: Any, tokens: Any, nuisance: pd.DataFrame | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_design(on, tokens, "prompt_ols", nuisance)


def test_nilearn_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    actual = builtins.__import__

    def missing(wanted: str, *rest: Any) -> Any:
        if wanted.startswith("nilearn"):
            raise ImportError(wanted)
        return actual(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError) as told:
        scan()
    command = "pip install -c constraints.txt -e '.[task_mapping]'"
    assert str(told.value) == f"nilearn is not installed; {command} installs it"
