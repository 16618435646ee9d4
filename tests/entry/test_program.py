"""The way into every program: exit codes, one line a mistake, sweeps, signals, no stray files."""

import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.plugins import Plugins

import probe
from probe.cli import help_page
from probe.config import Config, key, to_plain
from probe.entry.program import Program, enter
from probe.errors import RankError, UserError
from probe.system.kept import keep, keeps, recall
from tests.config.compositions import composed

ROOT = Path(probe.__file__).resolve().parent.parent
HEAVY = {"torch", "transformers", "accelerate", "datasets", "wandb", "matplotlib", "scipy", "numpy"}


@dataclass
class Ended:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """Lines on stderr, without the log's times and Hydra's announcements of its jobs."""
        lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in self.err.splitlines()]
        return [line for line in lines if not re.match(r"\t#\d+ :|Launching \d+ jobs", line)]


class Calls(list[tuple[Any, list[str], str | None]]):
    """A task that remembers what it was called with, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Callable[[Any], BaseException | None] = lambda config: None

    def __call__(self, config: Any, overrides: list[str], group: str | None) -> Path:
        self.append((config, overrides, group))
        failure = self.fails(config)
        if failure is not None:
            raise failure
        return Path(f"run-{config.data.limit}")

    @property
    def limits(self) -> list[int | None]:
        """`data.limit` of every call."""
        return [config.data.limit for config, _, _ in self]


Run = Callable[..., Ended]
Launchers = Callable[[Callable[..., list[Any]]], None]


@pytest.fixture
def task() -> Calls:
    return Calls()


@pytest.fixture
def run(
    task: Calls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Enter as from the command line, in an empty folder, and put back what entering changes."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    handler = signal.getsignal(signal.SIGTERM)

    def enter_with(*words: str, **settings: Any) -> Ended:
        monkeypatch.setattr(sys, "argv", ["probe", *words])
        with pytest.raises(SystemExit) as ended:
            enter(Program(task, **settings))
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, said.out, said.err)

    yield enter_with
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


def files() -> list[str]:
    """List everything in the current folder."""
    return sorted(path.as_posix() for path in Path().rglob("*"))


def test_a_run_that_works_exits_0_says_nothing_and_leaves_no_file(task: Calls, run: Run) -> None:
    assert run("data.limit=2", "layers=3") == Ended(0, "", "")
    [(config, overrides, group)] = task
    assert type(config) is Config
    assert (config.data.limit, config.layers.index) == (2, 3)
    assert overrides == ["data.limit=2", "layers=single", "layers.index=3"]
    assert group is None
    assert files() == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["modle=gpt2"], "unknown group or key 'modle'; did you mean 'model'?"),
        (["model=gtp2"], "model=gtp2 is unknown; did you mean 'gpt2'?"),
        (["data.limit=0"], "data.limit=0 is too small; give 1 or more"),
        (
            ["--rerun", "nowhere"],
            "nowhere is not a finished run: it has no manifest.json; give a run's folder",
        ),
        (["--config-dir", "nowhere"], "--config-dir nowhere is not a folder"),
    ],
)
def test_a_mistake_costs_one_line_and_nothing_runs(
    words: list[str], line: str, task: Calls, run: Run
) -> None:
    assert run(*words) == Ended(1, "", f"probe: {line}\n")
    assert task == []
    assert files() == []


@pytest.mark.parametrize(
    "words",
    [
        ["--config-name", "other"],
        ["-m", "--cfg", "job", "data.limit=1,2"],
        ["--cfg", "job", "--package", "modle"],
    ],
    ids=" ".join,
)
def test_a_flag_that_cannot_work_costs_one_line(words: list[str], task: Calls, run: Run) -> None:
    ended = run(*words)
    assert ended.code != 0
    assert task == []
    assert re.fullmatch(r"probe: .+\n", ended.err)


def test_only_jobs_of_a_sweep_keep_things_for_the_next(task: Calls, run: Run) -> None:
    found: list[Any] = []

    def note(_: Any) -> None:
        found.append((keeps(), recall("model", "key")))
        keep("model", "key", len(found))

    task.fails = note
    run("data.limit=2")
    run("-m", "data.limit=2,3")
    run("data.limit=2")
    assert found == [(False, None), (True, None), (True, 2), (False, None)]


@pytest.mark.parametrize(("words", "kept"), [(["layers=3"], False), (["-m", "layers=3,4"], True)])
def test_a_rank_that_follows_keeps_things_in_a_sweep(
    words: list[str], kept: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    monkeypatch.setattr("probe.distributed.follows", lambda: True)
    monkeypatch.setattr("probe.distributed.follow", lambda: found.append(keeps()))
    monkeypatch.setattr("probe.distributed.release", lambda: None)
    monkeypatch.setattr("probe.entry.program.os._exit", sys.exit)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(*words).code == 0
    assert found == [kept]


def test_a_users_mistake_in_a_run_is_logged_as_one_line(task: Calls, run: Run) -> None:
    task.fails = lambda config: UserError("3 is no good limit; give 4")
    ended = run("data.limit=3")
    assert ended.code == 1
    assert ended.said == ["probe: 3 is no good limit; give 4"]
    assert ended.out == ""


def test_a_fault_of_the_programs_is_logged_with_where_it_happened(task: Calls, run: Run) -> None:
    task.fails = lambda config: RuntimeError("boom")
    ended = run("data.limit=3")
    assert ended.code == 1
    assert ended.said[0] == "probe: data.limit=3 failed: boom"
    assert ended.said[1].startswith("Traceback")
    assert "HYDRA_FULL_ERROR" not in ended.err
    assert files() == []


def test_a_ranks_own_traceback_is_not_followed_by_the_drivers(task: Calls, run: Run) -> None:
    task.fails = lambda config: RankError("rank 1 failed: boom")
    ended = run("data.limit=3")
    assert ended.code == 1
    assert ended.said == ["probe: rank 1 failed: boom"]


def files_of_sweep(output: str) -> set[str]:
    """Name the sweeps that were written, after checking that nothing else was."""
    sweeps = Path(output, ".sweeps")
    elsewhere = {path for path in Path().rglob("*") if sweeps not in path.parents}
    assert elsewhere == {sweeps, *sweeps.parents} - {Path()}
    written = [path.name for path in sweeps.rglob("*")]
    assert ".hydra" not in written
    assert not [name for name in written if name.endswith(".log")]
    return {folder.name for folder in sweeps.iterdir()}


def test_a_sweep_runs_every_value_as_one_group_and_writes_there(task: Calls, run: Run) -> None:
    words = ["data=mmlu", "subject=glob(*_psychology)", "layers=[1,2]", "output=some/where"]
    assert run("-m", *words).code == 0
    names = ["high_school_psychology", "professional_psychology"]
    assert [config.subject.name for config, _, _ in task] == names
    layers = ["layers=single", "layers.index=[1,2]"]
    assert [overrides for _, overrides, _ in task] == [
        ["data=mmlu", f"subject={name}", *layers, "output=some/where"] for name in names
    ]
    [group] = {group for _, _, group in task}
    assert files_of_sweep("some/where") == {group}


def test_a_sweep_says_of_every_job_what_was_typed(task: Calls, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    ended = run("-m", f"data={tmp_path}/a.txt", "data.limit=2,3")
    words = [f"data={tmp_path}/a.txt data.limit={limit}" for limit in (2, 3)]
    assert ended.said[:2] == [
        f"run {number} of the sweep: {word}" for number, word in enumerate(words, start=1)
    ]
    assert [" ".join(overrides) for _, overrides, _ in task] == words


def test_a_sweep_goes_on_after_failures_and_names_them_at_the_end(task: Calls, run: Run) -> None:
    task.fails = lambda config: RuntimeError("boom") if config.site == "mlp" else None
    ended = run("-m", "layers=each,all", "site=residual,mlp")
    assert ended.code == 1
    ran = [(config.layers.selection.value, config.site.value) for config, _, _ in task]
    assert ran == [("each", "residual"), ("each", "mlp"), ("all", "residual")]
    assert ended.said[:3] == [
        "run 1 of the sweep: layers=each site=residual",
        "run 2 of the sweep: layers=each site=mlp",
        "probe: layers=each site=mlp failed: boom",
    ]
    assert ended.said[-2].startswith("probe: layers=all with site=mlp would average over unrelated")
    failed = "layers=each site=mlp; layers=all site=mlp"
    assert ended.said[-1] == f"probe: 2 runs of the sweep failed: {failed}"


class Afterwards(list[tuple[Path, Any]]):
    """What is done with a sweep that is over; remembers what it was called with."""

    def __call__(self, folder: Path, config: Any) -> None:
        assert (folder / "summary.json").is_file()
        self.append((folder, config))


def summary_of(output: str = "outputs") -> dict[str, Any]:
    """Read what the only sweep has written about its jobs."""
    (file,) = Path(output, ".sweeps").glob("*/summary.json")
    return dict(json.loads(file.read_text()))


def test_a_sweep_is_summed_up_when_its_jobs_are_done(task: Calls, run: Run) -> None:
    after = Afterwards()
    task.fails = lambda config: UserError("3 is no good") if config.data.limit == 3 else None
    assert run("-m", "data.limit=2,3", "init=random", after=after).code == 1
    assert summary_of() == {
        "jobs": [
            {"overrides": ["data.limit=2", "init=random"], "run": "run-2", "error": None},
            {"overrides": ["data.limit=3", "init=random"], "run": None, "error": "3 is no good"},
        ],
        "varied": ["data.limit"],
    }
    [(folder, config)] = after
    assert folder.name == task[0][2]
    assert (type(config), config.data.limit, config.init.kind) == (Config, 2, "random")


def test_a_single_run_is_not_summed_up(task: Calls, run: Run) -> None:
    after = Afterwards()
    assert run("data.limit=2", after=after).code == 0
    assert after == []
    assert files() == []


def test_a_sweep_that_cannot_be_summed_up_says_so_and_exits_1(task: Calls, run: Run) -> None:
    def after(folder: Path, config: Any) -> None:
        raise RuntimeError("no ink")

    ended = run("-m", "data.limit=2,3", after=after)
    assert ended.code == 1
    assert task.limits == [2, 3]
    assert "probe: the sweep could not be summarised: no ink" in ended.said
    assert len(summary_of()["jobs"]) == 2


@pytest.mark.parametrize(
    ("what", "done"),
    [pytest.param("record_job", [], marks=pytest.mark.campaign), ("write_jobs", [2, 3])],
)
def test_a_full_disk_ends_a_sweep_in_one_line(
    what: str, done: list[int], task: Calls, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"probe.sweep.drive.{what}", full)
    ended = run("-m", "data.limit=2,3")
    assert ended.code == 1
    assert task.limits == done
    [line] = [line for line in ended.said if line.startswith("probe: ")]
    assert "cannot be written any more (No space left on device); finished results are" in line
    assert "Traceback" not in ended.err


@pytest.mark.campaign
def test_a_sweep_over_output_has_one_folder(task: Calls, run: Run) -> None:
    assert run("-m", "output=one,two").code == 0
    assert [config.output for config, _, _ in task] == ["one", "two"]
    assert len(summary_of("one")["jobs"]) == 2
    assert not Path("two").exists()


@pytest.mark.parametrize(
    "folder", [pytest.param("mine", marks=pytest.mark.campaign), "it's a, b=c"]
)
def test_a_sweep_may_have_a_folder_of_ones_own(folder: str, task: Calls, run: Run) -> None:
    quoted = folder.replace("'", "\\'")
    assert run("-m", "data.limit=2,3", f"hydra.sweep.dir='{quoted}'").code == 0
    assert {group for _, _, group in task} == {folder}
    assert len(json.loads(Path(folder, "summary.json").read_text())["jobs"]) == 2
    assert {path.parts[0] for path in Path().rglob("*")} == {folder}


def test_an_output_that_cannot_be_written_costs_one_line(task: Calls, run: Run) -> None:
    Path("file").write_text("")
    line = "probe: output=file cannot be written (Not a directory); give another folder with "
    assert run("-m", "data.limit=2,3", "output=file") == Ended(1, "", f"{line}output=\n")
    assert task == []


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launchers:
    """Put another way to launch jobs before Hydra's own, which it is given to use."""

    def replace(launch: Callable[..., list[Any]]) -> None:
        original = Plugins.instantiate_launcher

        def instantiate(*given: Any, **named: Any) -> Any:
            made: Any = original(*given, **named)
            own = made.launch
            made.launch = lambda job_overrides, initial_job_idx: launch(
                lambda some: own(some, initial_job_idx), job_overrides
            )
            return made

        monkeypatch.setattr(Plugins, "instantiate_launcher", instantiate)

    return replace


def launch_elsewhere(original: Callable[[Any], Any], jobs: Any) -> list[Any]:
    """Run jobs in a process of their own, as launchers for clusters do."""
    child = os.fork()
    if child == 0:
        try:
            original(jobs)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return []


def launch_and_fail(original: Callable[[Any], Any], jobs: Any) -> list[Any]:
    """Run one of the jobs, and lose the others."""
    original(jobs[:1])
    raise ConnectionError("the cluster is gone")


def test_jobs_in_other_processes_are_summed_up_by_the_driver(
    task: Calls, run: Run, launcher: Launchers, caplog: pytest.LogCaptureFixture
) -> None:
    launcher(launch_elsewhere)
    after = Afterwards()
    task.fails = lambda config: RuntimeError("boom") if config.data.limit < 4 else None
    assert run("-m", "data.limit=2,3,4", after=after).code == 1
    assert task == [], "nothing ran in this process"
    assert [(job["run"], job["error"]) for job in summary_of()["jobs"]] == [
        (None, "boom"), (None, "boom"), ("run-4", None),
    ]  # fmt: skip
    assert len(after) == 1
    line = "probe: 2 runs of the sweep failed: data.limit=2; data.limit=3"
    assert caplog.messages[-1] == line, "the driver says it, which has run no job"


@pytest.mark.campaign
def test_what_was_done_before_a_launcher_failed_is_summed_up(
    task: Calls, run: Run, launcher: Launchers
) -> None:
    launcher(launch_and_fail)
    after = Afterwards()
    ended = run("-m", "data.limit=2,3", after=after)
    assert ended.code == 1
    assert "the cluster is gone" in ended.err
    assert [job["run"] for job in summary_of()["jobs"]] == ["run-2"]
    assert len(after) == 1


def test_an_interrupted_sweep_stops_and_exits_130(task: Calls, run: Run) -> None:
    after = Afterwards()
    task.fails = lambda config: KeyboardInterrupt()
    ended = run("-m", "data.limit=2,3", after=after)
    assert ended.code == 130
    assert task.limits == [2]
    assert ended.said == [
        "run 1 of the sweep: data.limit=2",
        "probe: interrupted; the same command resumes it",
    ]
    assert after == []
    (notes,) = Path("outputs").glob(".sweeps/*/jobs")
    (note,) = notes.iterdir()
    assert json.loads(note.read_text())["error"] == "it did not finish"
    assert not (notes.parent / "summary.json").exists()


def terminate(_config: Any) -> BaseException:
    """Send this process SIGTERM, if it is ready for it."""
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN, None):
        return AssertionError("nothing handles SIGTERM")
    os.kill(os.getpid(), signal.SIGTERM)
    return AssertionError("SIGTERM did not stop the run")


def test_a_terminated_run_exits_143_in_one_line(task: Calls, run: Run) -> None:
    task.fails = terminate
    line = "probe: terminated; the same command resumes it\n"
    assert run() == Ended(143, "", line)


def test_help_goes_before_everything_else(task: Calls, run: Run) -> None:
    for words in (["--help"], ["-h"], ["modle=gpt2", "--help"], ["-m", "layers=0,1", "-h"]):
        assert run(*words) == Ended(0, help_page(Config, "python -m probe") + "\n", "")
    assert task == []


@dataclass
class _Study:
    rounds: int = key(3, "Rounds of the study.")


@dataclass
class _StudyConfig(Config):
    study: _Study = field(default_factory=_Study)


def test_a_study_enters_with_its_own_keys_and_its_own_help(task: Calls, run: Run) -> None:
    study = {"schema": _StudyConfig, "command": "python -m experiments.mine", "about": "Mine.\n"}
    assert run("study.rounds=5", "layers=each", **study).code == 0
    [(config, _, _)] = task
    assert type(config) is _StudyConfig
    assert config.study.rounds == 5
    assert run("study.round=5", **study).err == (
        "probe: unknown key 'study.round'; did you mean 'study.rounds'?\n"
    )
    assert "python -m experiments.mine  [group" in run("--help", **study).out
    assert run("study.rounds=5").err.startswith("probe: unknown key 'study.rounds'")


@pytest.mark.parametrize("flags", [["--config-dir", "own"], ["--config-d", "own"]], ids=" ".join)
def test_options_of_ones_own_reach_the_run(flags: list[str], task: Calls, run: Run) -> None:
    Path("own/model").mkdir(parents=True)
    Path("own/model/mine.yaml").write_text("name: mine\nid: org/mine\n")
    ended = run(*flags, "model=mine", "data.limit=1")
    assert (ended.code, ended.err) == (0, "")
    assert task[0][0].model.id == "org/mine"


@pytest.mark.campaign
def test_flags_may_stand_between_the_words_of_a_sweep(task: Calls, run: Run) -> None:
    Path("overrides.yaml").write_text("- data.limit=8\n")
    assert run("data.offset=3", "-m", "--rerun", ".", "layers=0,1").code == 0
    assert [config.layers.index for config, _, _ in task] == [0, 1]
    assert task[0][1] == ["data.limit=8", "data.offset=3", "layers=single", "layers.index=0"]


def test_a_flag_keeps_its_value(task: Calls, run: Run) -> None:
    ended = run("--info", "searchpath", "model=gpt2")
    assert ended.code == 0
    assert "Installed Hydra Plugins" not in ended.out + ended.err


def test_the_shell_can_ask_for_completion(task: Calls, run: Run) -> None:
    ended = run("--shell-completion", "install=bash")
    assert (ended.code, ended.err) == (0, "")
    assert "complete" in ended.out


def test_cfg_prints_a_part_of_the_configuration(task: Calls, run: Run) -> None:
    ended = run("--cfg", "job", "--package", "layers", "layers=[3,7]")
    assert (ended.code, ended.err) == (0, "")
    assert yaml.safe_load(ended.out) == {"selection": "single", "index": [3, 7]}
    assert task == []
    assert files() == []


PROCESSES = {
    "help": ["--help"],
    "cfg": ["--cfg", "job"],
    "typo": ["model=gtp2"],
}
# Runs the program as -m does, and notes which modules it has imported by the end.
PROGRAM = """
import json, runpy, sys
try:
    runpy.run_module("probe", run_name="__main__", alter_sys=True)
finally:
    sys.stdout.flush()
    open("../modules.json", "w").write(json.dumps(sorted(sys.modules)))
"""


@dataclass
class Process(Ended):
    """How a process ended, which modules it imported and which files it left."""

    modules: set[str]
    left: list[str]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Process]:
    """Run the program's processes side by side, each in a folder of its own."""
    started = {}
    for name, words in PROCESSES.items():
        folder = tmp_path_factory.mktemp(name) / "here"
        folder.mkdir()
        ranks = {"WORLD_SIZE", "RANK", "LOCAL_RANK"}
        started[name] = (
            folder,
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *words],
                cwd=folder,
                env={k: v for k, v in os.environ.items() if k not in ranks}
                | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            ),
        )
    ended = {}
    for name, (folder, process) in started.items():
        out, err = process.communicate(timeout=60)
        modules = set(json.loads((folder.parent / "modules.json").read_text()))
        left = sorted(path.name for path in folder.rglob("*"))
        ended[name] = Process(process.returncode, out, err, modules, left)
    return ended


@pytest.mark.parametrize("name", PROCESSES)
def test_quick_answers_import_nothing_heavy_and_leave_no_file(
    name: str, processes: dict[str, Process]
) -> None:
    assert "hydra" in processes[name].modules
    assert processes[name].modules & HEAVY == set()
    assert processes[name].left == []


def test_help_is_printed_by_the_program_itself(processes: dict[str, Process]) -> None:
    ended = processes["help"]
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == help_page(Config, "python -m probe") + "\n"


def test_cfg_prints_the_configuration_and_nothing_else(processes: dict[str, Process]) -> None:
    ended = processes["cfg"]
    assert (ended.code, ended.err) == (0, "")
    assert yaml.safe_load(ended.out) == to_plain(composed())


def test_a_typo_exits_1_with_one_line_and_nothing_else(processes: dict[str, Process]) -> None:
    ended = processes["typo"]
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "probe: model=gtp2 is unknown; did you mean 'gpt2'?\n"


@pytest.mark.campaign
def test_a_sweep_of_measures_alone_would_share_one_run(task: Calls, run: Run) -> None:
    ended = run("-m", "measures.density=0.05,0.3")
    assert ended.code == 1
    assert task.limits == []
    assert "differ only in measures.… and would share" in ended.err
    assert "'measures.density=[0.05,0.3]'" in ended.err
    assert run("-m", "measures.density=0.05,0.3", "data.limit=2").code == 1
    assert run("-m", "measures.density=[0.05,0.3]", "data.limit=2,3").code == 0
