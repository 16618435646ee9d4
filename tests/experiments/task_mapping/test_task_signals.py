"""Signals, regressors of tokens and scans piece by piece, against what they stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from experiments.task_mapping import mapping
from experiments.task_mapping.design import make_design
from experiments.task_mapping.mapping import fit_scan, map_scans
from experiments.task_mapping.observed import Observed, observe
from experiments.task_mapping.reading import Texts, continuations, whole_prompts, write_texts
from experiments.task_mapping.settings import TaskMapping, TaskMappingConfig
from experiments.task_mapping.signals import Signals, stacked
from experiments.task_mapping.stimuli import Scan
from probe.api import Document, tokenize
from probe.cli import compose_job
from probe.models.place import ASSETS
from tests.experiments.task_mapping.planted_scans import blocks

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 6, 40)
EACH = [RNG.normal(size=(length, 7)).astype(np.float32) for length in LENGTHS]
CPU = torch.device("cpu")


def configured(folder: Path, *words: str) -> TaskMappingConfig:
    written = [] if "study.generate=false" in words else ["study.tokens=4"]
    config = compose_job(
        ["data=tasks", "runtime.device=cpu", f"output={folder}", *written, *words],
        TaskMappingConfig,
    )
    assert isinstance(config, TaskMappingConfig)
    return config


def scan(on: np.ndarray[Any, Any], seed: int, task: str = "a") -> Scan:
    prompts = np.random.default_rng(seed).permutation(len(EACH))[: len(on)]
    return Scan(task, 0, prompts, on)


def test_rows_come_in_the_order_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = stacked(EACH)
    asked = [17, 0, 39, 3]
    expected = np.concatenate([EACH[number] for number in asked])
    assert np.array_equal(signals.rows(asked), expected)
    monkeypatch.setattr("experiments.task_mapping.signals._UNITS", 3)
    parts = list(signals.parts(asked))
    assert [part.shape[1] for part in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate(parts, axis=1), expected)
    assert np.array_equal(np.concatenate(list(signals.chunks(range(40)))), signals.values)
    means = signals.means()
    expected = np.array([EACH[one].mean(axis=0, dtype=np.float64) for one in asked])
    np.testing.assert_allclose(means.rows(asked), expected, rtol=1e-6)
    assert means.means() is means


@pytest.mark.parametrize("model", ["prompt_ols", "tokens_ols", "tokens_ar1"])
def test_a_scan_piece_by_piece_is_the_scan_at_once(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scan(blocks(7, 5), 1)
    signals: Signals = stacked(EACH)
    design = make_design(one.on, LENGTHS[one.prompts], model)  # type: ignore[arg-type]
    if model == "prompt_ols":
        signals = signals.means()
    at_once = fit_scan(signals, one, design, CPU)
    monkeypatch.setattr(mapping, "_AT_ONCE", 0)
    np.testing.assert_allclose(fit_scan(signals, one, design, CPU).z, at_once.z, atol=1e-8)


def test_units_that_a_scan_leaves_out_have_no_map() -> None:
    """One is constant everywhere, one only in the first scan."""
    on = blocks(5, 3)
    values = RNG.normal(size=(40, 4)).astype(np.float32)
    scans = [scan(on, seed) for seed in range(4)]
    values[:, 1] = 3
    values[scans[0].prompts, 2] = 0

    signals = Signals(values, np.ones(40, dtype=np.int64))

    observed = Observed(np.full(40, 8), [pd.DataFrame(index=range(8))] * 40)
    settings = TaskMapping(scans=2)
    mapped = map_scans("units", signals, scans[:2], scans[2:], observed, settings, CPU)
    assert np.isnan(mapped.z[0]).tolist() == [
        [False, True, True, False],
        [False, True, False, False],
    ]
    assert np.isnan(mapped.over_scans[0]).tolist() == [False, True, True, False]
    assert np.isnan(mapped.z_null[:, 1]).all()
    assert np.isfinite(mapped.active).all()
    assert np.isfinite(mapped.positive_null).all()


PROMPTS = [
    Document("a", "The cyst was lined by 3 layers of"),
    Document("b", "Voter turnout is lower, because"),
]


def log_probabilities(ids: list[int]) -> np.ndarray[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "tiny", dtype=torch.float64).eval()
    with torch.inference_mode():
        scores = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    return np.array([float(scores[place, token]) for place, token in enumerate(ids[1:])])


@pytest.mark.parametrize("generate", [True, False])
def test_regressors_of_tokens(generate: bool, tmp_path: Path) -> None:
    config = configured(tmp_path, f"study.generate={str(generate).lower()}")
    config = continuations(config) if generate else whole_prompts(config)
    texts: Texts = write_texts(config, PROMPTS, np.arange(2))
    observed = observe(config, texts, ["position", "length", "log_probability", "token_class"])

    before = tokenize(config, texts=[one.text for one in PROMPTS])
    assert texts.lengths.tolist() == [len(ids) for ids in before]
    for number, frame in enumerate(observed.nuisance):
        ids = texts.ids[number].tolist()
        assert len(frame) == texts.tokens[number] == len(ids)
        assert frame["position"].tolist() == list(range(len(ids)))
        assert set(frame["length"]) == {len(before[number])}
        whole = [*before[number], *ids] if generate else before[number]
        expected = log_probabilities(whole)[-len(ids) :]
        np.testing.assert_allclose(
            frame["log_probability"].iloc[len(ids) - len(expected) :], expected, atol=1e-4
        )
        assert set(np.unique(frame[["piece", "number", "sign", "space"]])) <= {0.0, 1.0}
        assert (frame[["piece", "number", "sign", "space"]].sum(axis=1) <= 1).all()


def test_log_probabilities_are_of_the_tokens_that_are_read(tmp_path: Path) -> None:
    """The first of a text has none before it, and a text of one token has no other."""
    config = whole_prompts(configured(tmp_path, "study.generate=false"))
    [[word]] = tokenize(config, texts=["a"])
    texts = write_texts(config, [*PROMPTS, Document("c", "a")], np.arange(3))
    scored = [frame["log_probability"].to_numpy() for frame in observe(
        config, texts, ["log_probability"]
    ).nuisance]  # fmt: skip
    assert texts.ids[2].tolist() == [word]
    expected = [log_probabilities(ids.tolist()) for ids in texts.ids[:2]]
    mean = np.concatenate(expected).mean()
    for own, known in zip(scored, [*expected, np.empty(0)], strict=True):
        np.testing.assert_allclose(own, [mean, *known], atol=1e-4)


def test_what_is_written_at_a_temperature_follows_the_seed(tmp_path: Path) -> None:
    def ids(*words: str) -> list[list[int]]:
        config = continuations(configured(tmp_path, *words))
        return [one.tolist() for one in write_texts(config, PROMPTS, np.arange(2)).ids]

    warm = ids("study.temperature=1")
    assert warm == ids("study.temperature=1")
    assert warm != ids("study.temperature=1", "study.seed=1")
    assert ids() == ids("study.seed=1")
