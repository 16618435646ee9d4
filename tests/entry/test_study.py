"""Studies have the run folder of the main program: found again, looked at, resumed."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import probe.entry.study
from probe.cli import compose_job
from probe.config import Config, DataConfig, key
from probe.entry.study import study
from probe.errors import UserError

logger = logging.getLogger("probe.steps")
BESIDES = ["config.yaml", "manifest.json", "overrides.yaml", "probe.log"]


@dataclass
class Settings:
    """Settings of a study."""

    steps: int = key(3, "Steps to take.")


@dataclass
class StudyConfig(Config):
    """The configuration with them."""

    study: Settings = field(default_factory=Settings)


class Task:
    """A study that writes a file a step, and stops where it is told to."""

    def __init__(self) -> None:
        self.stop_at: int | None = None
        self.taken: list[int] = []
        self.looks: list[tuple[Path, list[str]]] = []

    def __call__(self, config: StudyConfig, folder: Path) -> dict[str, Any]:
        for step in range(config.study.steps):
            if step == self.stop_at:
                raise UserError(f"step {step} cannot be taken")
            file = folder / f"step{step}.txt"
            if not file.exists():
                file.write_text(f"{step}")
                logger.info("step %d is taken", step)
                self.taken.append(step)
        return {"steps": config.study.steps}

    def look(self, _: StudyConfig, folder: Path) -> None:
        self.looks.append((folder, sorted(file.name for file in folder.iterdir())))


@pytest.fixture
def task() -> Task:
    return Task()


Run = Callable[..., Path]
Reads = Callable[[StudyConfig], list[Config]]


@pytest.fixture(scope="module")
def composed() -> StudyConfig:
    config = compose_job(["tracking=none"], StudyConfig)
    assert isinstance(config, StudyConfig)
    return config


@pytest.fixture
def run(task: Task, composed: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the study as `enter` would, but for the command line; return the finished folder."""

    def run(
        steps: int = 3, overwrite: bool = False, resumable: bool = False, reads: Reads | None = None
    ) -> Path:
        config = replace(
            composed, study=Settings(steps), overwrite=overwrite, output=str(tmp_path / "out")
        )
        monkeypatch.setattr(probe.entry.study, "enter", lambda one, *_: one(config, ["a=b"], None))
        study(
            "steps", StudyConfig, task, "Steps.", reads=reads, look=task.look, resumable=resumable
        )
        return task.looks[-1][0]

    return run


def test_the_command_line_reaches_the_study(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["study.steps=2", f"output={tmp_path / 'out'}", "tracking=none"]
    monkeypatch.setattr(sys, "argv", ["steps", *words])
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    with pytest.raises(SystemExit) as ended:
        study("steps", StudyConfig, task, "Steps.", look=task.look)
    assert ended.value.code == 0
    [(folder, files)] = task.looks
    assert folder.parent == tmp_path / "out" / "steps"
    assert files == [*BESIDES, "step0.txt", "step1.txt"]


def test_a_study_leaves_its_files_and_a_manifest(run: Run, task: Task) -> None:
    folder = run(steps=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["steps"] == 2
    assert manifest["config"]["study"] == {"steps": 2}
    assert manifest["seconds"] >= 0
    assert set(manifest["files"]) == {"config.yaml", "overrides.yaml", "step0.txt", "step1.txt"}
    assert task.taken == [0, 1]


def test_a_finished_study_is_found_again_and_looked_at_both_times(
    run: Run, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="probe")
    folder = run()
    assert task.looks == [(folder, [*BESIDES, "step0.txt", "step1.txt", "step2.txt"])]
    assert caplog.messages[-1] == f"steps is finished: {folder}"
    assert run() == folder
    assert caplog.messages[-1] == f"{folder} is already finished; overwrite=true runs it again"
    assert task.taken == [0, 1, 2], "the second time nothing is done"
    assert task.looks[1] == task.looks[0]


def test_a_finished_study_of_texts_that_have_changed_since_is_not_found_again(
    run: Run, task: Task, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"

    def reads(config: StudyConfig) -> list[Config]:
        mine = replace(config, data=DataConfig(source="text", path=str(text)))
        return [config, mine, replace(mine, overwrite=True)]

    text.write_text("A river.")
    folder = run(reads=reads)
    made_of = json.loads((folder / "manifest.json").read_text())["fingerprints"]
    assert made_of.keys() == {"model", "data", "model 2", "data 2"}, "each once"
    assert made_of["model"] == made_of["model 2"]
    assert run(reads=reads) == folder
    text.write_text("A sea.")
    with pytest.raises(UserError, match=r"was made with another data 2 \(.*overwrite=true"):
        run(reads=reads)
    assert task.taken == [0, 1, 2]


def test_what_a_study_cannot_read_is_told_before_anything_is_done(
    run: Run, task: Task, tmp_path: Path
) -> None:
    def reads(_: StudyConfig) -> list[Config]:
        raise UserError("study.steps is odd")

    with pytest.raises(UserError, match=r"study\.steps is odd"):
        run(reads=reads)
    assert task.taken == []
    assert not (tmp_path / "out").exists()


def test_a_study_of_other_settings_is_another_one(run: Run) -> None:
    assert run(steps=1) != run(steps=2)


def test_a_study_that_fails_is_not_looked_at_and_not_finished(
    run: Run, task: Task, tmp_path: Path
) -> None:
    task.stop_at = 1
    with pytest.raises(UserError, match="step 1 cannot be taken"):
        run()
    assert task.looks == []
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.fixture
def stopped(run: Run, task: Task) -> Task:
    """Stop before the last step, and forget what was taken."""
    task.stop_at = 2
    with pytest.raises(UserError):
        run(resumable=True)
    assert task.taken == [0, 1]
    task.stop_at, task.taken = None, []
    return task


@pytest.mark.parametrize(
    ("how", "again"),
    [
        ({"resumable": True}, [2]),
        ({"resumable": False}, [0, 1, 2]),
        ({"resumable": True, "overwrite": True}, [0, 1, 2]),
    ],
    ids=["resumable", "not resumable", "overwrite"],
)
def test_what_an_earlier_try_left_is_kept_where_the_study_resumes(
    how: dict[str, bool], again: list[int], run: Run, stopped: Task
) -> None:
    folder = run(**how)
    assert stopped.taken == again
    assert [(folder / f"step{step}.txt").read_text() for step in range(3)] == ["0", "1", "2"]
    assert list(folder.parent.iterdir()) == [folder], "nothing is left beside it"
    log = (folder / "probe.log").read_text()
    assert [log.count(f"step {step} is taken") for step in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("resumable", [True, False])
def test_overwrite_does_a_finished_study_again_from_nothing(
    resumable: bool, run: Run, task: Task
) -> None:
    folder = run()
    (folder / "stale.txt").write_text("of an older version")
    task.taken = []
    assert run(overwrite=True, resumable=resumable) == folder
    assert task.taken == [0, 1, 2]
    assert not (folder / "stale.txt").exists()
    assert (folder / "probe.log").read_text().count("step 0 is taken") == 1
