"""Where one token of each text rules a topology, the same run leaves one without such tokens."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from probe import api
from probe.cli import compose_job
from probe.config import Sinks, run_folder
from probe.examples.batches import Batch
from probe.extraction.checkpoints import Keeper
from probe.extraction.checks import sinks
from probe.models import load_tokenizer
from probe.pipeline import run as run_pipeline
from probe.runs.repeated import compare_runs
from probe.runs.rerun import rerun_config
from probe.verify.run import verify
from tests import reference
from tests.tiny_models import LAYERS, save_tiny

pytestmark = pytest.mark.usefixtures("no_figures")
Words = Callable[..., list[str]]
RULER = "Q"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    """Configure a model for which a letter is 300 times as long as any other, where texts begin."""
    folder = tmp_path_factory.mktemp("sinks")
    model = save_tiny("llama", folder / "model")
    weights = load_file(model / "model.safetensors")
    letter = load_tokenizer(compose_job(["model=local", f"model.path={model}"]).model)(RULER)
    [token] = letter["input_ids"]
    weights["model.embed_tokens.weight"][token] *= 300
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    for name, first in (("ruled", RULER), ("free", "")):
        lines = [f"{first}uite {n} boats carried sand{' and salt' * (n % 3)}." for n in range(9)]
        content = "".join(json.dumps({"text": line}) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(content)

    def of(texts: str, *more: str) -> list[str]:
        return [
            "model=local", f"model.path={model}", "data=text", f"data.path={folder}/{texts}.jsonl",
            "layers=each", "tracking=none", "runtime=cpu", "measures.rewired=0",
            "runtime.token_budget=150", "average.halves=false", f"output={folder}/out", *more,
        ]  # fmt: skip

    return of


def manifest_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "manifest.json").read_text()))


@pytest.fixture(scope="module")
def read(words: Words) -> Callable[[str], list[list[np.ndarray]]]:
    @cache
    def layers(texts: str) -> list[list[np.ndarray]]:
        """Read every layer's activations, text by text."""
        found = sorted(api.iterate(*words(texts)), key=lambda example: example.example)
        return [[one.layers[layer].numpy() for one in found] for layer in range(LAYERS)]

    return layers


def test_above_one_half_there_are_both(
    words: Words, read: Callable[[str], list[list[np.ndarray]]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe")
    run = api.run(*words("ruled"))
    assert run == run_folder(api.compose(*words("ruled")))
    found = manifest_of(run)["sinks"]
    assert (found["asked"], found["decided"]) == ("auto", "both")
    layers = read("ruled")
    for layer in range(LAYERS - 1):  # the last one is read behind the final norm
        first = layers[layer][: sinks._TEXTS]
        expected = reference.strongest_share([first], [1] * len(first))
        assert found["shares"][f"layer_{layer}"] == pytest.approx(expected, abs=1e-4)
        without = api.load_topology(run, f"layer_{layer}_without_sinks")
        left = reference.without_outliers([layers[layer]], 10)
        np.testing.assert_allclose(
            without.matrix, reference.topology(left, "mean"), atol=2e-6, rtol=0
        )
        kept = api.load_topology(run, f"layer_{layer}")
        whole = reference.topology([layers[layer]], "mean")
        np.testing.assert_allclose(kept.matrix, whole, atol=2e-6, rtol=0)
        assert kept.reliability is not None
        assert without.reliability is not None
        assert (kept.reliability.strongest_share or 0) > 0.5
        assert (without.reliability.strongest_share or 1) < 0.5
        assert without.reliability.dropped == {str(layer): 9}
    assert "makes" in next(line for line in caplog.messages if "one token of each" in line)
    assert "as much memory of sums, and as much time to correlate" in caplog.text
    tokens = manifest_of(run)["token_norms"]["layers"][0]
    assert tokens["positions"] == {"0": 9}
    assert [(text, count) for _, text, count, _ in tokens["tokens"]] == [(RULER, 9)]
    assert verify(run).faults == []
    assert len(api.load_topologies(run)) == 2 * LAYERS


def test_of_ranks_a_token_rules_no_more_than_any_other(
    words: Words, read: Callable[[str], list[list[np.ndarray]]], caplog: pytest.LogCaptureFixture
) -> None:
    run = api.run(*words("ruled", "average.correlation=spearman", "layers=0"))
    found = manifest_of(run)["sinks"]
    first = read("ruled")[0][: sinks._TEXTS]
    ranks = reference.ranked([first])[0]
    z = [x - x.mean(axis=0) for x in ranks]
    z = [x / np.linalg.norm(x, axis=0) for x in z]
    strongest = [np.linalg.norm(x, axis=1).argmax() for x in first]
    of_one = np.sum([np.outer(x[t], x[t]) for x, t in zip(z, strongest, strict=True)], axis=0)
    mean = np.sum([x.T @ x for x in z], axis=0)
    pairs = np.triu_indices(len(mean), 1)
    share = (of_one[pairs] * mean[pairs]).sum() / (mean[pairs] ** 2).sum()
    assert found["shares"] == {"layer_0": pytest.approx(share, abs=1e-4)}
    assert (share < 0.5, found["decided"]) == (True, "keep")
    assert "dominates" not in caplog.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["layers=0"], "leaves it out, data.sinks=drop every such token"),
        (["layers=0", "data.sinks=drop"], None),
        (["layers=cross", "layers.index=[0,1]"], "leaves it out"),
    ],
)
def test_what_can_be_done_about_a_first_token_is_told(
    more: list[str], said: str | None, words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    api.run(*words("ruled", *more, "overwrite=true"))
    found = [line for line in caplog.messages if "dominates" in line]
    assert [line[line.index("leaves it out") :] for line in found] == ([said] if said else [])


def test_the_last_residual_is_judged_before_the_final_norm(words: Words) -> None:
    last = LAYERS - 1
    raw, normed = (
        sorted(api.iterate(*words("ruled", f"site={site}")), key=lambda example: example.example)
        for site in ("residual_raw", "residual")
    )
    left = [
        x.layers[last].numpy()[reference.norm_ratios(y.layers[last].numpy()) <= 10]
        for x, y in zip(normed, raw, strict=True)
    ]
    assert sum(map(len, left)) < sum(len(x.tokens) for x in normed)
    [topology] = api.extract(*words("ruled", f"layers={last}", "data.sinks=drop"))
    expected = reference.topology([left], "mean")
    np.testing.assert_allclose(topology.matrix, expected, atol=2e-6, rtol=0)


def test_up_to_one_half_nothing_stands_beside(words: Words) -> None:
    run = api.run(*words("free", "layers=all"))
    found = manifest_of(run)["sinks"]
    assert (found["asked"], found["decided"]) == ("auto", "keep")
    assert found["shares"]["all_layers"] <= 0.5
    assert len(api.load_topologies(run)) == 1


def test_without_checks_it_is_decided_all_the_same(words: Words) -> None:
    run = api.run(*words("ruled", "model.checks=false", "layers=all", "average.parts=2"))
    assert manifest_of(run)["sinks"]["decided"] == "both"
    assert [topology.name for topology in api.load_topologies(run)] == [
        "all_layers_part1", "all_layers_part2",
        "all_layers_without_sinks_part1", "all_layers_without_sinks_part2",
    ]  # fmt: skip
    assert (run / "topology" / "all_layers_without_sinks_avg_corr_part2.npy").is_file()
    assert verify(run).faults == []


def test_what_is_returned_is_what_was_asked_for(words: Words) -> None:
    given = words("ruled", "layers=1")
    [one] = api.extract(*given)
    assert not one.without_sinks
    kept, dropped = api.extract(*given, "data.sinks=both")
    np.testing.assert_array_equal(one.matrix, kept.matrix)
    [alone] = api.extract(*given, "data.sinks=drop")
    assert (alone.name, alone.without_sinks) == ("layer_1", True)
    np.testing.assert_array_equal(alone.matrix, dropped.matrix)
    views = [api.View("mine", (1,), 0, 4)]
    [mine] = api.extract_views(*given, views=lambda *_: views)[0]
    assert not mine.without_sinks


def test_between_layers_sinks_are_kept(words: Words) -> None:
    run = api.run(*words("ruled", "layers=cross", "layers.index=[0,1]"))
    assert manifest_of(run)["sinks"] == {"asked": "auto", "decided": "keep"}


@pytest.mark.usefixtures("one_process")
def test_several_ranks_decide_alike(words: Words, tmp_path: Path) -> None:
    runs = [
        api.run(*words("ruled", f"launch.num_processes={n}", f"output={tmp_path / str(n)}"))
        for n in (1, 2)
    ]
    one, two = map(manifest_of, runs)
    assert two["ranks"] == 2
    assert one["sinks"] == two["sinks"]
    assert one["token_norms"] == two["token_norms"]
    for first, second in zip(*map(api.load_topologies, runs), strict=True):
        np.testing.assert_allclose(first.matrix, second.matrix, rtol=0, atol=1e-12)
        assert first.reliability is not None
        assert second.reliability is not None
        same = {
            name: pytest.approx(getattr(first.reliability, name), rel=1e-9)
            for name in ("strongest_share", "noise")
        }
        assert second.reliability == replace(first.reliability, **same)


def test_what_was_decided_binds_a_run_that_resumes(
    words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = words("ruled", f"output={tmp_path}", "runtime.checkpoint_minutes=0")
    expected = manifest_of(api.run(*words("ruled")))
    note, noted = Keeper.note, list[int]()

    def interrupted(keeper: Keeper, batch: Batch, parts: int) -> bool:
        note(keeper, batch, parts)
        noted.append(1)
        if len(noted) == 2:
            raise InterruptedError
        return True

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "note", interrupted)
        with pytest.raises(InterruptedError):
            api.run(*given)
    with monkeypatch.context() as patch:
        patch.setattr(sinks, "first_shares", lambda *_: pytest.fail("it is decided"))
        resumed = manifest_of(api.run(*given))
    assert resumed["sessions"] == 2
    for name in ("sinks", "token_norms"):
        assert resumed[name] == expected[name]
    names = [record["name"] for record in resumed["topologies"]]
    assert names == [record["name"] for record in expected["topologies"]]


def test_a_run_is_repeated_as_it_was_also_one_of_before_there_was_a_choice(words: Words) -> None:
    run = api.run(*words("ruled", "layers=0"))
    again = run_pipeline(rerun_config(run, []))
    assert compare_runs(run, again)
    assert api.load_topology(run).name == "layer_0"  # the one that is not beside another
    manifest = manifest_of(run)
    del manifest["config"]["data"]["sinks"], manifest["sha256"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert rerun_config(run, []).data.sinks is Sinks.keep
