"""Studies have the run folder of the main program: found again, looked at, resumed."""

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import probe.entry.study
from probe.cli import compose_job
from probe.config import Config, DataConfig, StudyConfig, key, study_folder
from probe.entry.program import Program
from probe.entry.study import study
from probe.errors import UserError
from probe.report.page import write_report
from probe.runs.rerun import rerun_config
from probe.verify import verify

logger = logging.getLogger("probe.steps")
BESIDES = ["config.yaml", "manifest.json", "overrides.yaml", "probe.log"]


@dataclass
class Settings:
    """Settings of a study."""

    steps: int = key(3, "Steps to take.", least=0, was="rounds")
    shifts: int = key(0, "Shifts.")


@dataclass
class StepsConfig(StudyConfig):
    """The configuration with them."""

    study: Settings = field(default_factory=Settings)


class Task:
    """A study that writes a file a step, and stops where it is told to."""

    def __init__(self) -> None:
        self.stop_at: int | None = None
        self.stop_by: BaseException | None = None
        self.taken: list[int] = []
        self.looks: list[tuple[Path, list[str]]] = []

    def __call__(self, config: StepsConfig, folder: Path) -> dict[str, Any]:
        for step in range(config.study.steps):
            if step == self.stop_at:
                raise self.stop_by or UserError(f"step {step} cannot be taken")
            file = folder / f"step{step}.txt"
            if not file.exists():
                file.write_text(f"{step}")
                logger.info("step %d is taken", step)
                self.taken.append(step)
        (folder / "steps.csv").write_text(f"step,share\nlast,{1 / (1 + len(self.taken)):.3f}\n")
        return {"steps": config.study.steps, "headline": {"taken": len(self.taken)}}

    def look(self, _: StepsConfig, folder: Path) -> None:
        self.looks.append((folder, sorted(file.name for file in folder.iterdir())))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Make a package of a study, which names its task by module and function."""
    made, package, module = Task(), ModuleType("steps_study"), ModuleType("steps_study.task")
    package.__doc__ = "Take steps.\n"
    vars(module).update(run=made, look=made.look)
    monkeypatch.setitem(sys.modules, "steps_study", package)
    monkeypatch.setitem(sys.modules, "steps_study.task", module)
    return made


TASK, LOOK = "steps_study.task:run", "steps_study.task:look"


Run = Callable[..., Path]
Reads = Callable[[StepsConfig], list[Config | Path]]


@pytest.fixture(scope="module")
def composed() -> StepsConfig:
    config = compose_job(["tracking=none"], StepsConfig)
    assert isinstance(config, StepsConfig)
    return config


@pytest.fixture
def run(task: Task, composed: StepsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the study as `enter` would, but for the command line; return the finished folder."""

    def run(
        steps: int = 3,
        overwrite: bool = False,
        resumes: bool = False,
        reads: Reads | None = None,
        **how: Any,
    ) -> Path:
        config = replace(
            composed, study=Settings(steps), overwrite=overwrite, output=str(tmp_path / "out")
        )

        def enter(program: Program) -> None:
            program.task(config, ["a=b"], None)

        monkeypatch.setattr(probe.entry.study, "enter", enter)
        study("steps", StepsConfig, TASK, reads=reads, look=LOOK, resumes=resumes, **how)
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
        study("steps", StepsConfig, TASK, look=LOOK)
    assert ended.value.code == 0
    [(folder, files)] = task.looks
    assert folder.parent == tmp_path / "out" / "steps" / "tiny"
    assert re.fullmatch("sample-[0-9a-f]{8}", folder.name)
    assert files == [*BESIDES, "step0.txt", "step1.txt", "steps.csv"]


def test_a_study_leaves_its_files_and_a_manifest(run: Run, task: Task) -> None:
    folder = run(steps=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["steps"] == 2
    assert manifest["config"]["study"] == {"steps": 2, "shifts": 0}
    assert (manifest["study"], manifest["command"]) == ("steps", "python -m steps_study")
    assert manifest["seconds"] >= 0
    assert set(manifest["files"]) == {
        "config.yaml",
        "overrides.yaml",
        "step0.txt",
        "step1.txt",
        "steps.csv",
    }
    assert task.taken == [0, 1]


def test_a_finished_study_is_found_again_and_looked_at_both_times(
    run: Run, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="probe")
    folder = run()
    assert task.looks == [(folder, [*BESIDES, "step0.txt", "step1.txt", "step2.txt", "steps.csv"])]
    assert caplog.messages[-1] == f"steps is finished: {folder}"
    assert run() == folder
    assert caplog.messages[-1] == f"{folder} is already finished; overwrite=true runs it again"
    assert task.taken == [0, 1, 2], "the second time nothing is done"
    assert task.looks[1] == task.looks[0]


def test_a_finished_study_of_texts_that_have_changed_since_is_not_found_again(
    run: Run, task: Task, tmp_path: Path
) -> None:
    text, masks = tmp_path / "text.txt", tmp_path / "masks.npz"
    masks.write_bytes(b"1")

    def reads(config: StepsConfig) -> list[Config | Path]:
        mine = replace(config, data=DataConfig(source="text", path=str(text)))
        return [config, mine, replace(mine, overwrite=True), masks]

    text.write_text("A river.")
    folder = run(reads=reads)
    made_of = json.loads((folder / "manifest.json").read_text())["fingerprints"]
    assert made_of.keys() == {"model", "data", "model 2", "data 2", str(masks)}
    assert made_of["model"] == made_of["model 2"]
    assert run(reads=reads) == folder
    masks.write_bytes(b"2")
    with pytest.raises(
        UserError, match=r"was made with another .*masks.npz \(sha256 6b86.*, sha256"
    ):
        run(reads=reads)
    masks.write_bytes(b"1")
    text.write_text("A sea.")
    with pytest.raises(UserError, match=r"was made with another data 2 \(.*overwrite=true"):
        run(reads=reads)
    assert task.taken == [0, 1, 2]


def test_what_a_study_cannot_read_is_told_before_anything_is_done(
    run: Run, task: Task, tmp_path: Path
) -> None:
    def reads(_: StepsConfig) -> list[Config | Path]:
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
        run(resumes=True)
    assert task.taken == [0, 1]
    task.stop_at, task.taken = None, []
    return task


@pytest.mark.parametrize(
    ("how", "again"),
    [
        ({"resumes": True}, [2]),
        ({"resumes": False}, [0, 1, 2]),
        ({"resumes": True, "overwrite": True}, [0, 1, 2]),
    ],
    ids=["resumes", "does not", "overwrite"],
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


@pytest.mark.parametrize("resumes", [True, False])
def test_overwrite_does_a_finished_study_again_from_nothing(
    resumes: bool, run: Run, task: Task
) -> None:
    folder = run()
    (folder / "stale.txt").write_text("of an older version")
    task.taken = []
    assert run(overwrite=True, resumes=resumes) == folder
    assert task.taken == [0, 1, 2]
    assert not (folder / "stale.txt").exists()
    assert (folder / "probe.log").read_text().count("step 0 is taken") == 1


# Names.


def test_a_study_is_named_as_runs_are_by_what_it_reads(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out" / "steps"
    digest = run().name.removeprefix("sample-")
    assert run(idle=["data", "subject"]) == out / f"tiny-{digest}"
    assert run(idle=["data", "subject", "model"]) == out / digest


def test_a_study_finished_under_its_old_name_is_found(run: Run, task: Task) -> None:
    folder = run()
    old = folder.parents[1] / folder.name.removeprefix("sample-")
    folder.rename(old)
    task.taken = []
    assert run() == old
    assert task.taken == [], "nothing is done again"
    assert run(defaults=["layers=middle"]) == folder, "it meant another layer then"
    assert run(overwrite=True) == folder


def test_a_renamed_key_changes_no_name(composed: StepsConfig) -> None:
    @dataclass
    class Old:
        rounds: int = 3
        shifts: int = 0

    old = replace(composed, study=Old())  # type: ignore[arg-type]
    assert study_folder(old, "steps") == study_folder(composed, "steps")
    assert study_folder(replace(composed, study=Settings(4)), "s") != study_folder(composed, "s")


# What is read, and what is typed.

IDLE = {"average": "", "null": "study.shifts is the null model", "init=": "", "init.kind": ""}


class Command:
    """The study's command line."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
        self._place, self._patch, self._how = place, monkeypatch, how

    def __call__(self, *words: str, **how: Any) -> int:
        again = words[0].startswith("--rerun") if words else False
        usual = [] if again else [f"output={self._place}", "tracking=none"]
        self._patch.setattr(sys, "argv", ["steps", *words, *usual])
        with pytest.raises(SystemExit) as ended:
            study("steps", StepsConfig, TASK, look=LOOK, **(self._how | how))
        return int(ended.value.code or 0)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return Command(tmp_path / "out", monkeypatch, idle=IDLE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["average=mean"], "average has no effect here, leave it out"),
        (["average.scheme=mean"], "average.scheme has no effect here, leave it out"),
        (["-m", "average=mean,fisher"], "average has no effect here, leave it out"),
        (["-m", "average.parts=1,2"], "average.parts has no effect here, leave it out"),
        (["null.shifts=0"], "null.shifts has no effect here, leave it out; study.shifts is the n"),
        (["init=pretrained"], "init has no effect here, leave it out"),
        (["init.kind=random"], "init.kind has no effect here, leave it out"),
        (["study.rounds=2"], "study.rounds is called study.steps now; write study.steps=…"),
        (["study.steps=-1"], "study.steps=-1 is too small; give 0 or more"),
        (["layers=cross"], "layers=cross joins the neurons of several layers"),
    ],
    ids=str,
)
def test_what_is_typed_in_vain_is_refused(
    words: list[str], said: str, command: Command, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"probe: {said}")
    assert error.count("\n") == 1
    assert task.taken == []


def test_other_keys_of_a_part_are_read(command: Command, task: Task) -> None:
    assert command("init.seed=3", "study.steps=1") == 0
    assert task.taken == [0]


def test_a_study_has_defaults_of_its_own_which_words_replace(command: Command, task: Task) -> None:
    how = {"defaults": ["layers=middle", "site=mlp", "data.min_tokens=20"]}
    found = []
    for words in ([], ["layers=3"], ["layers=all", "site=residual"], ["data=sample"]):
        assert command("study.steps=0", *words, **how) == 0
        config = json.loads((task.looks[-1][0] / "manifest.json").read_text())["config"]
        found.append((config["layers"]["selection"], config["layers"]["index"], config["site"]))
        assert config["data"]["min_tokens"] == 20
    assert found == [
        ("middle", None, "mlp"), ("single", 3, "mlp"), ("all", None, "residual"),
        ("middle", None, "mlp"),
    ]  # fmt: skip


def test_help_leaves_out_what_is_not_read_and_shows_the_defaults(
    command: Command, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-h", defaults=["layers=middle", "site=mlp", "layers.index=null"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("python -m steps_study  [group=option] [key=value] ...\n\nTake steps.\n")
    assert not re.search(r"^  (average|null)", page, re.MULTILINE)
    assert "init.kind" not in page
    assert re.search(r"^  init +pretrained random$", page, re.MULTILINE)
    flat = " ".join(page.split())
    assert "or numbers: layers=12, layers=[3,7] (here: layers=middle)" in flat
    assert re.search(r"layers\.selection .*?cross, full\] \(middle\) layers\.index", flat)
    assert re.search(r" site Where .*? embedding.*?\] \(mlp\) output", flat)
    assert "study.steps Steps to take. (3)" in flat


@pytest.mark.parametrize(("resumes", "line"), [(True, "resumes it"), (False, "starts it again")])
def test_an_interruption_says_what_the_same_command_does(
    resumes: bool, line: str, command: Command, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    task.stop_at, task.stop_by = 1, KeyboardInterrupt()
    assert command(resumes=resumes) == 130
    assert capsys.readouterr().err.endswith(f"probe: interrupted; the same command {line}\n")


# What is done with finished studies.


def test_a_repetition_compares_the_tables(
    command: Command, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("study.steps=2") == 0
    [(folder, _)] = task.looks
    task.taken = []
    assert command(f"--rerun={folder}") == 0
    again = task.looks[-1][0]
    assert again == tmp_path / "out" / ".rerun" / "steps" / "tiny" / folder.name
    assert capsys.readouterr().err.endswith("tables identical to the byte: 1 of 1\n")
    assert command("--rerun", str(folder)) == 1, "more steps have been taken"
    said = "the largest difference is 0.133 in steps.csv, more than 1e-06\n"
    assert capsys.readouterr().err.endswith(said)
    (folder / "steps.csv").write_text("step\nlast\n")
    assert command("--rerun", str(folder)) == 0
    said = capsys.readouterr().err
    assert "steps.csv has more columns now: share\n" in said
    assert said.endswith("the largest difference is 0 in steps.csv, within 1e-06\n")
    (folder / "steps.csv").write_text("step,share\nfirst,0.333\n")
    assert command("--rerun", str(folder)) == 1
    assert capsys.readouterr().err.endswith(
        "steps.csv has other rows or words, or lacks a column\n"
    )
    assert command("--rerun", str(folder), "study.steps=0", "average=mean") == 1
    assert "average has no effect here" in capsys.readouterr().err


def test_a_study_is_repeated_by_its_own_command(run: Run) -> None:
    folder = run()
    with pytest.raises(UserError) as refused:
        rerun_config(folder, [])
    assert str(refused.value) == (
        f"{folder} was made by python -m steps_study; repeat it with "
        f"python -m steps_study --rerun {folder}"
    )


def test_a_finished_study_is_intact_until_a_file_changes(run: Run) -> None:
    folder = run()
    found = verify(folder)
    assert (found.faults, found.notes) == ([], [])
    assert found.checked.endswith("files match their sha256, those of the study steps")
    (folder / "steps.csv").write_text("x\n")
    [fault] = verify(folder).faults
    assert fault.startswith("steps.csv: expected sha256")


def test_a_finished_study_becomes_a_page(run: Run) -> None:
    folder = run()
    page = write_report(folder).read_text()
    assert f"<h1>steps: {folder.name}</h1>" in page
    assert "<pre>python -m steps_study a=b</pre>" in page
    assert re.search(r"<caption>steps</caption>.*?last.*?0\.25", page, re.DOTALL)
    assert re.search(r"headline\.taken</th><td class=\"value\">3</td>", page)


@pytest.mark.usefixtures("task")
def test_a_sweep_of_studies_ends_in_a_table_of_headlines(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", "study.steps=1,2") == 0
    [summary] = (tmp_path / "out" / ".sweeps").glob("*/summary.csv")
    rows = [line.split(",") for line in summary.read_text().splitlines()]
    assert rows[0] == ["study.steps", "run", "taken"]
    assert [(row[0], row[2]) for row in rows[1:]] == [("1", "1"), ("2", "3")]
    assert "study.steps  taken\n" in capsys.readouterr().err
    assert "<caption>summary</caption>" in write_report(summary.parent).read_text()
