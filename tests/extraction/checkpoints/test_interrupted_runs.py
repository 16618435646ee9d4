"""A run that is interrupted goes on with the same command; nothing of that shows in the results."""

import json
import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from probe import api, pipeline
from probe.config import Config, DataConfig
from probe.errors import UserError
from probe.examples.batches import Batch
from probe.extraction import loop as extract
from probe.extraction.checkpoints import Keeper
from probe.runs.folder import CHECKPOINTS, RunFolder
from probe.runs.manifest import MANIFEST
from tests.run_folders import draw_dots

TEXTS = [f"In year {row} the river carried {17 * row} boats of sand to the sea. " * 3
         for row in range(9)]  # fmt: skip


@pytest.fixture(scope="module")
def composed() -> Config:
    """Compose once; it takes longer than a run."""
    return api.compose(
        "model=tiny", "data=sample", "layers=[0,3]", "tracking=none", "runtime.device=cpu",
        "runtime.token_budget=150", "measures.rewired=0", "runtime.checkpoint_minutes=0",
    )  # fmt: skip


@pytest.fixture
def job(composed: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    draw_dots(monkeypatch)
    data = DataConfig(source="text", path=str(text))
    return replace(composed, data=data, output=str(tmp_path / "out"))


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


Interrupt = Callable[[int], None]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Press Ctrl-C in the middle of a given batch of the process, counted from 1."""
    note = Keeper.note
    read: list[Batch] = []

    def at(number: int) -> None:
        def noted(keeper: Keeper, batch: Batch, parts: int) -> bool:
            read.append(batch)
            if len(read) == number:
                signal.raise_signal(signal.SIGINT)
            return note(keeper, batch, parts)

        monkeypatch.setattr(Keeper, "note", noted)

    return at


def matrices(run: Path) -> dict[str, np.ndarray]:
    return {topology.name: topology.matrix for topology in api.load_topologies(run)}


def manifest_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / MANIFEST).read_text()))


def interrupted(config: Config) -> None:
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(config)


def test_the_same_command_goes_on(
    job: Config, tmp_path: Path, interrupt: Interrupt, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    expected = pipeline.run(replace(job, output=str(tmp_path / "whole")))
    assert manifest_of(expected)["sessions"] == 1
    interrupt(2)
    interrupted(job)
    said = "interrupted; saving what is done after the current batch (Ctrl-C again to quit)"
    assert said in capfd.readouterr().err
    folder = RunFolder(job)
    [file] = (folder.work / CHECKPOINTS).iterdir()
    with safe_open(file, "pt") as kept:
        assert json.loads(kept.metadata()["checkpoint"])["batches"] == [0, 1]
    (folder.work / "topology").mkdir()
    (folder.work / "topology" / "stale.npy").write_text("of an earlier end")
    caplog.set_level(logging.INFO, logger="probe")
    run = pipeline.run(job)
    assert "resuming: 2 of 9 examples are already done" in caplog.messages
    assert manifest_of(run)["sessions"] == 2
    assert manifest_of(run)["examples"] == 9
    assert list(run.parent.iterdir()) == [run]
    assert not (run / CHECKPOINTS).exists()
    assert not [name for name in manifest_of(run)["files"] if CHECKPOINTS in name]
    assert sorted(file.name for file in (run / "topology").iterdir()) == [
        "layer_0_avg_corr.npy", "layer_3_avg_corr.npy",
    ]  # fmt: skip
    # The story of both sessions.
    assert (run / "probe.log").read_text().count("9 examples of") == 2
    for name, matrix in matrices(expected).items():
        np.testing.assert_allclose(matrices(run)[name], matrix, atol=1.2e-7, rtol=0)


def test_seconds_and_sessions_add_up(job: Config, interrupt: Interrupt) -> None:
    interrupt(1)
    interrupted(job)
    interrupt(3)
    interrupted(job)
    [file] = (RunFolder(job).work / CHECKPOINTS).iterdir()
    with safe_open(file, "pt") as kept:
        seconds = json.loads(kept.metadata()["checkpoint"])["seconds"]
    manifest = manifest_of(pipeline.run(job))
    assert manifest["sessions"] == 3
    assert manifest["seconds"] >= seconds > 0


def test_a_run_whose_end_failed_does_no_batch_again(
    job: Config, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the machine went away")

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "build_topologies", fail)
        broken.setattr("probe.extraction.checkpoints.keep._RARE", 0)
        with pytest.raises(RuntimeError):
            pipeline.run(job)
    monkeypatch.setattr(extract.Accumulator, "consume", fail)
    assert manifest_of(pipeline.run(job))["examples"] == 9


def test_overwrite_starts_afresh(
    job: Config, interrupt: Interrupt, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(2)
    interrupted(job)
    caplog.set_level(logging.INFO, logger="probe")
    run = pipeline.run(replace(job, overwrite=True))
    assert not [message for message in caplog.messages if "already done" in message]
    assert manifest_of(run)["sessions"] == 1


def test_other_texts_are_not_added_to(job: Config, interrupt: Interrupt) -> None:
    interrupt(2)
    interrupted(job)
    file = Path(str(job.data.path))
    file.write_text(file.read_text().replace("boats", "ships"))
    with pytest.raises(UserError, match=r"the batches' texts was .* start afresh with overwrite=t"):
        pipeline.run(job)
    assert list((RunFolder(job).work / CHECKPOINTS).iterdir()), "nothing is lost by that"
    file.write_text(file.read_text().replace("ships", "boats"))
    assert manifest_of(pipeline.run(job))["sessions"] == 2


def test_a_run_that_was_whole_but_not_in_its_place_leaves_no_sums(
    job: Config, monkeypatch: pytest.MonkeyPatch, interrupt: Interrupt
) -> None:
    interrupt(2)
    interrupted(job)

    def lose(_: object) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as killed:
        killed.setattr(RunFolder, "_put_in_place", lose)
        with pytest.raises(SystemExit):
            pipeline.run(job)
    assert (RunFolder(job).work / CHECKPOINTS).is_dir(), "not before there is a manifest"
    run = pipeline.run(job)  # found again
    assert list(run.parent.iterdir()) == [run]
    assert not (run / CHECKPOINTS).exists()


def test_views_go_on_where_they_have_a_folder(
    job: Config, interrupt: Interrupt, tmp_path: Path
) -> None:
    def views(n: int, _: int) -> list[api.View]:
        return [api.View("all", (1,), 0, n), api.View("first", (0,), 0, 4, "fisher")]

    expected, facts = api.extract_views(job, views=views)
    interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        api.extract_views(job, views=views, folder=tmp_path / "mine")
    found, again = api.extract_views(job, views=views, folder=tmp_path / "mine")
    assert (facts.sessions, again.sessions) == (1, 2)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.matrix, other.matrix, atol=1.2e-7, rtol=0)


def test_without_a_folder_an_interruption_is_no_other_than_before(
    job: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, note = [], Keeper.note

    def noted(keeper: Keeper, batch: Batch, parts: int) -> bool:
        seen.append(signal.getsignal(signal.SIGINT))
        return note(keeper, batch, parts)

    monkeypatch.setattr(Keeper, "note", noted)
    api.extract_views(job, views=lambda n, _: [api.View("all", (1,), 0, n)])
    assert set(seen) == {signal.default_int_handler}
