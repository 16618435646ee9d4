"""Only the tokens that count are correlated, as NumPy does it with a mask; the model reads all."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from probe import api
from probe.config import Config
from probe.examples import token_ids
from probe.examples.counting import Dropped
from probe.extraction.circular_shift import draw_shifts
from probe.models import load_tokenizer
from tests import reference

QUESTIONS = [
    "data.split=questions",
    "data.limit=6",
    "data.min_tokens=4",
    "layers=[1,4]",
    "model.checks=false",
]


@pytest.fixture(scope="module")
def whole() -> list[api.ExampleActivations]:
    """All tokens of every question."""
    return sorted(api.iterate(*QUESTIONS), key=lambda one: one.example)


def keeps(config: Config, whole: list[api.ExampleActivations]) -> list[np.ndarray]:
    dropped = Dropped.of(load_tokenizer(config.model), config.data.dropped)
    assert dropped is not None
    return [~torch.isin(one.tokens, torch.tensor(dropped.ids)).numpy() for one in whole]


@pytest.mark.parametrize("drop", ["punctuation", "[13,special,26]"])
def test_correlations_are_over_what_is_not_dropped(
    whole: list[api.ExampleActivations], drop: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    words = [*QUESTIONS, f"data.drop_tokens={drop}", "null.shifts=1"]
    config = api.compose(*words, "average.weight=token", "runtime.token_budget=150")
    masks = keeps(config, whole)
    left = [int(mask.sum()) for mask in masks]
    assert all(n < len(one.tokens) for n, one in zip(left, whole, strict=True))
    for topology in api.extract(config):
        [layer] = topology.layers
        series = [one.layers[layer].numpy()[m] for one, m in zip(whole, masks, strict=True)]
        expected = reference.topology([series], "mean", "token")
        np.testing.assert_allclose(topology.matrix, expected, atol=1e-6, rtol=0)
        known = topology.reliability
        assert known is not None
        assert known.tokens == sum(left)
        noise = sum(n**2 / (n - 1) for n in left) / sum(left) ** 2
        assert known.noise == pytest.approx(noise)
        assert known.null is not None
        shifts = [
            draw_shifts(config.null.seed, 0, [n], torch.tensor([length]), expected.shape[0])[0]
            for n, length in enumerate(left)
        ]
        rolled = [
            np.stack([np.roll(x[:, i], int(s)) for i, s in enumerate(by)], axis=1)
            for x, by in zip(series, shifts, strict=True)
        ]
        null = reference.topology([rolled], "mean", "token")[np.triu_indices(len(expected), 1)]
        assert known.null.mean_abs_r == pytest.approx(np.abs(null).mean(), abs=1e-6)
    total = sum(len(one.tokens) for one in whole)
    assert f"{total - sum(left)} tokens are read and not counted" in caplog.text


def test_a_part_is_correlated_alone_and_its_bounds_are_those_of_what_counts(
    whole: list[api.ExampleActivations], tmp_path: Path
) -> None:
    drop = "data.drop_tokens=punctuation"
    words = [*QUESTIONS, "data.part=question", f"output={tmp_path}"]
    [spans, store] = api.series(*QUESTIONS, f"output={tmp_path}"), api.series(*words, drop)
    config = api.compose(*words, drop)
    masks = keeps(config, whole)
    expected: dict[int, list[np.ndarray]] = {1: [], 4: []}
    for known, one, mask in zip(spans.examples, whole, masks, strict=True):
        start, stop = known.spans["question"]
        mask[:start] = mask[stop:] = False
        found = store.examples[one.example]
        assert found.n_tokens == mask.sum()
        assert found.spans == {"question": (0, mask.sum())}
        assert store.tokens(one.example).tolist() == one.tokens.numpy()[mask].tolist()
        for layer, series in expected.items():
            series.append(one.layers[layer].numpy()[mask])
    for topology in api.extract(config):
        matrix = reference.topology([expected[topology.layers[0]]], "mean")
        np.testing.assert_allclose(topology.matrix, matrix, atol=1e-6, rtol=0)
    counted = [len(series) for series in expected[1]]
    least = sorted(counted)[-2]
    config.data.min_tokens, config.data.limit = least, 1
    [first] = api.iterate(config)
    longest = next(n for n, length in enumerate(counted) if length >= least)
    assert (first.document, len(first.tokens)) == (whole[longest].document, counted[longest])


def test_ids_in_a_file_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = [*QUESTIONS, "null.shifts=1", f"output={tmp_path}"]
    before = api.extract(*words)
    monkeypatch.setattr(token_ids, "_HELD", 50)
    for first, second in zip(before, api.extract(*words), strict=True):
        np.testing.assert_array_equal(first.matrix, second.matrix)
        assert first.reliability == second.reliability
