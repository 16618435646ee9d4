"""A sweep's jobs are recorded wherever they run, and summarised in one table and one figure."""

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from probe.__main__ import main
from probe.config import Config, TrackingConfig
from probe.errors import UserError
from probe.runs import figure_files
from probe.runs.measures_files import read_numbers
from probe.sweep import conclusion, summary
from probe.sweep.jobs import Job, failed, make_folder, read_jobs, record_job, varied, write_jobs
from probe.sweep.summary import matched_pairs, summarise, sweep_rows
from probe.topology import Topology
from probe.tracking import SweepRecord
from tests.run_folders import config_of, save_run
from tests.topologies import random_correlations, topology_of

QUIET = Config(tracking=TrackingConfig(enabled=False))
PRETRAINED = ["init=pretrained", "layers=single", "layers.index=0"]


# The notes of the jobs.


def test_notes_are_read_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    jobs = [Job([f"data.limit={n}"], run=f"run/{n}") for n in range(12)]
    for number in (11, 3, 10, 0, 1, 2, 4, 5, 6, 7, 8, 9):
        record_job(tmp_path, number, Job([], error="begun"))
        record_job(tmp_path, number, jobs[number])
    assert read_jobs(tmp_path) == jobs
    assert {file.suffix for file in (tmp_path / "jobs").iterdir()} == {".json"}


def test_the_jobs_and_what_varies_are_written_down(tmp_path: Path) -> None:
    jobs = [
        Job(["model=tiny", "data.limit='4'", "++init=random"], run="a/b"),
        Job(["model=tiny", "data.limit=5", "init=random"], error="too few: é"),
    ]
    write_jobs(tmp_path, jobs)
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == {
        "jobs": [
            {"overrides": jobs[0].overrides, "run": "a/b", "error": None},
            {"overrides": jobs[1].overrides, "run": None, "error": "too few: é"},
        ],
        "varied": ["data.limit"],
    }
    assert failed(jobs) == jobs[1:]


def test_a_key_that_some_jobs_lack_varies() -> None:
    assert varied([Job(["a=1", "b=2"]), Job(["a=1"])]) == ["b"]
    assert varied([Job(["a=1", "b=2"])]) == []


def test_sweeps_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.sweep.jobs.time.strftime", lambda _: "2026-11-20_12-00-00")
    folders = [make_folder(str(tmp_path / "out"), None) for _ in range(3)]
    assert [folder.name for folder in folders] == [
        "2026-11-20_12-00-00", "2026-11-20_12-00-00_2", "2026-11-20_12-00-00_3",
    ]  # fmt: skip
    assert {folder.parent for folder in folders} == {tmp_path / "out/.sweeps"}


def test_notes_of_an_earlier_sweep_in_the_same_folder_are_forgotten(tmp_path: Path) -> None:
    record_job(tmp_path, 7, Job(["data.limit=1"]))
    (tmp_path / "mine.txt").write_text("")
    assert make_folder("outputs", str(tmp_path)) == tmp_path
    assert read_jobs(tmp_path) == []
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(
    ("output", "given", "message"),
    [
        ("file", None, "output=file cannot be written (Not a directory); give another folder with"),
        ("out", "file/x", "file/x cannot be written (Not a directory); give another folder with h"),
    ],
)
def test_a_folder_that_cannot_be_made_is_a_users_mistake(
    output: str, given: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError) as wrong:
        make_folder(output, given)
    assert str(wrong.value).startswith(message)


# Rows, matched pairs and the summary, of runs made by hand.


def make(layer: int, seed: int, init: str = "pretrained", **changed: Any) -> Topology:
    usual = {"name": f"layer_{layer}", "layers": (layer,), "init": init}
    return topology_of(random_correlations(12, seed), **usual | changed)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Leave two layers of pretrained and random weights, the second one failed."""
    found = []
    for number, (layer, init) in enumerate(
        [(0, "pretrained"), (0, "random"), (3, "pretrained"), (3, "random")]
    ):
        run = save_run(tmp_path / f"runs/{number}", make(layer, number, init))
        words = [f"init={init}", "layers=single", f"layers.index={layer}", "data.limit=4"]
        found.append(Job(words, run=str(run)))
    return found


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """Keep what is given to the figures and to W&B instead."""
    calls: dict[str, tuple[Any, ...]] = {}

    def draw(name: str, *given: Any) -> Figure:
        calls[name] = given
        return Figure(figsize=(0.1, 0.1))

    def track(*given: Any) -> str:
        calls["track"] = given
        return "https://wandb.ai/a/b/runs/c"

    monkeypatch.setattr(summary, "draw_sweep", lambda *given: draw("sweep", *given))
    monkeypatch.setattr(summary, "side_by_side", lambda *given: draw("side_by_side", *given))
    monkeypatch.setattr(conclusion, "track_sweep", track)
    return calls


def sweep_of(jobs: list[Job], folder: Path) -> Path:
    for number, job in enumerate(jobs):
        record_job(folder, number, job)
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_has_what_varied_and_all_measures(jobs: list[Job]) -> None:
    rows = sweep_rows(jobs, ["init", "layers.index"])
    assert len(rows) == 4
    expected = read_numbers(Path(jobs[3].run or ""))["layer_3"]
    assert rows[3] == {
        "init": "random", "layers.index": "3", "run": jobs[3].run, "topology": "layer_3",
        "layer": 3, "part": 1,
    } | expected  # fmt: skip
    assert expected["mean_abs_r"] > 0


def test_layers_and_parts_of_a_run_are_rows_of_their_own(tmp_path: Path) -> None:
    parts = [
        topology_of(
            random_correlations(8, part), name=f"all_layers_part{part}", layers=(0, 1),
            part=part, parts=2,
        )
        for part in (1, 2)
    ]  # fmt: skip
    rows = sweep_rows([Job(["layers=all"], run=str(save_run(tmp_path, *parts)))], [])
    assert [(row["topology"], row["layer"], row["part"]) for row in rows] == [
        ("all_layers_part1", None, 1), ("all_layers_part2", None, 2),
    ]  # fmt: skip


def test_a_run_that_is_gone_is_left_out_with_a_warning(
    jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    (Path(jobs[0].run or "") / "measures_by_layer.csv").unlink()
    rows = sweep_rows([*jobs[:2], Job([], error="boom")], ["init"])
    assert [row["run"] for row in rows] == [jobs[1].run]
    (warning,) = caplog.messages
    assert warning.startswith(f"{jobs[0].run} is not in the summary: ")


def test_a_sweep_is_summed_up(
    jobs: list[Job],
    tmp_path: Path,
    drawn: dict[str, tuple[Any, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    sweep = sweep_of(jobs, tmp_path / "2026-11-20_12-00-00")
    summarise(sweep, QUIET)
    assert sorted(path.name for path in sweep.glob("*.*")) == [
        "pretrained_random.png", "summary.csv", "summary.png",
    ]  # fmt: skip
    rows = table(sweep)
    keys = ["init", "layers.index"]
    assert [tuple(row[key] for key in [*keys, "run", "layer"]) for row in rows] == [
        (*(job.values[key] for key in keys), job.run, job.values["layers.index"]) for job in jobs
    ]
    assert drawn["sweep"] == (sweep_rows(jobs, keys), keys, "tiny on words")
    topologies, labels, note, rows_of_maps, look = drawn["side_by_side"]
    assert (note, rows_of_maps, look) == ("2 of 2 pairs", 2, QUIET.figures)
    assert [(t.init, t.layer) for t in topologies] == [
        ("pretrained", 0), ("random", 0), ("pretrained", 3), ("random", 3),
    ]  # fmt: skip
    assert labels[1] == "random, layer 0, seed 0"
    config, folder, record = drawn["track"]
    assert (config, folder) == (QUIET, sweep)
    assert record == SweepRecord(
        name=sweep.name,
        rows=sweep_rows(jobs, keys),
        varied={"init": ["pretrained", "random"], "layers.index": ["0", "3"]},
        images={
            "summary": sweep / "summary.png",
            "pretrained_random": sweep / "pretrained_random.png",
        },
        facts={"jobs": 4, "failed": 0},
    )
    said, header, *lines = caplog.messages
    assert said == "pretrained_random.png shows 2 of 2 pairs of pretrained and random weights"
    assert header.split()[:4] == ["topology", "init", "layers.index", "mean"]
    for line, row in zip(lines, rows, strict=False):
        mean = f"{float(row['mean_abs_r']):.4g}"
        assert line.split()[:4] == [row["topology"], row["init"], row["layers.index"], mean]
    assert lines[4:] == [
        f"summary of the sweep: {sweep}",
        "W&B run of the summary: https://wandb.ai/a/b/runs/c",
    ]


def test_what_worked_is_summed_up_where_some_failed(
    jobs: list[Job],
    tmp_path: Path,
    drawn: dict[str, tuple[Any, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Job(jobs[3].overrides, error="boom")
    sweep = sweep_of([*jobs[:3], broken], tmp_path / "sweep")
    summarise(sweep, QUIET)
    assert len(table(sweep)) == 3
    assert len(drawn["side_by_side"][0]) == 2, "layer 3 has lost its counterpart"
    assert drawn["track"][2].facts == {"jobs": 4, "failed": 1}
    assert "3 of 4 runs succeeded; the summary covers these" in caplog.messages


def test_where_nothing_worked_nothing_is_drawn(
    tmp_path: Path, drawn: dict[str, tuple[Any, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    sweep = sweep_of([Job(PRETRAINED, error="boom"), Job(PRETRAINED)], tmp_path / "sweep")
    summarise(sweep, QUIET)
    assert drawn == {}
    assert [path.name for path in sweep.iterdir()] == ["jobs"]
    assert caplog.messages == ["no run of the sweep has a topology, so there is no summary"]


def test_long_tables_are_cut_on_the_console(
    jobs: list[Job],
    tmp_path: Path,
    drawn: dict[str, tuple[Any, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    summarise(sweep_of(jobs * 11, tmp_path / "sweep"), QUIET)
    assert len([line for line in caplog.messages if line.startswith("layer_")]) == 40
    assert "4 more rows are in summary.csv" in caplog.messages
    assert len(table(tmp_path / "sweep")) == 44


def test_matched_pairs_are_spread_from_the_first_to_the_last(tmp_path: Path) -> None:
    pairs = {
        init: save_run(
            tmp_path / init, *(make(layer, layer, init) for layer in range(6)),
            config=config_of(init=init, seed=7),
        )
        for init in ("pretrained", "random")
    }  # fmt: skip
    jobs = [Job([f"init={init}", "layers=each"], run=str(run)) for init, run in pairs.items()]
    found, there = matched_pairs(jobs, ["init"], most=2)
    assert there == 6
    assert [(label, t.init, t.layer) for label, t in found] == [
        ("pretrained, layer 0", "pretrained", 0), ("random, layer 0, seed 7", "random", 0),
        ("pretrained, layer 5", "pretrained", 5), ("random, layer 5, seed 7", "random", 5),
    ]  # fmt: skip
    assert [t.layer for _, t in matched_pairs(jobs, ["init"], most=3)[0]] == [0, 0, 2, 2, 5, 5]
    every = [layer for layer in range(6) for _ in range(2)]
    assert [t.layer for _, t in matched_pairs(jobs, ["init"])[0]] == every


def test_a_topology_without_sinks_is_a_row_of_its_own_and_drawn_apart(
    tmp_path: Path, drawn: dict[str, tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[list[str]]()

    def draw(rows: list[dict[str, Any]], *_: object) -> Figure:
        told.append([row["topology"] for row in rows])
        return Figure(figsize=(0.1, 0.1))

    monkeypatch.setattr(summary, "draw_sweep", draw)
    usual = make(0, 1, "pretrained")
    beside = replace(make(0, 2, "pretrained"), name="layer_0_without_sinks", without_sinks=True)
    runs = [
        save_run(tmp_path / "trained", usual, beside),
        save_run(tmp_path / "random", make(0, 3, "random"), config=config_of(init="random")),
    ]
    words = [["init=pretrained"], ["init=random"]]
    jobs = [Job(one, run=str(run)) for one, run in zip(words, runs, strict=True)]
    sweep = sweep_of(jobs, tmp_path / "sweep")
    summarise(sweep, QUIET)
    assert [row["topology"] for row in table(sweep)] == [
        "layer_0", "layer_0_without_sinks", "layer_0",
    ]  # fmt: skip
    assert told == [["layer_0", "layer_0"], ["layer_0_without_sinks"]]
    assert (sweep / "summary_without_sinks.png").is_file()
    assert [t.name for t in drawn["side_by_side"][0]] == ["layer_0", "layer_0"]


def test_jobs_that_differ_in_more_than_the_init_are_not_a_pair(jobs: list[Job]) -> None:
    keys = ["init", "layers.index"]
    assert matched_pairs([jobs[0], jobs[3]], keys) == ([], 0)
    assert matched_pairs([jobs[0], jobs[2]], keys) == ([], 0)
    pair, there = matched_pairs(jobs[:2], ["init"])
    assert (len(pair), there) == (2, 1)


@pytest.mark.processes
def test_summing_up_imports_no_torch() -> None:
    program = "import sys, probe.sweep.summary; print('torch' in sys.modules)"
    root = str(Path(summary.__file__).resolve().parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    assert ended.stdout == "False\n"


# The whole way.


@pytest.fixture
def _restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Work in an empty folder, draw no figure of a run, and put back what entering changes."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(figure_files, "wanted", lambda *_: {})
    root, handler = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    handlers, level = list(root.handlers), root.level
    yield
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_restored")
def test_a_sweep_from_the_command_line_leaves_its_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One layer is not in the model: the others are summarised, and the exit code is 1."""
    lines = (f"In year {n} the river carried {17 * n} boats of sand to the sea. " * 4 for n in "12")
    Path("text.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    words = [
        "-m", "layers=1,9", "init=pretrained,random", "data=text", "data.path=text.jsonl",
        "runtime.device=cpu", "tracking=none", "measures.rewired=0", "output=out",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["probe", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (sweep,) = Path("out/.sweeps").iterdir()
    content = json.loads((sweep / "summary.json").read_text())
    assert content["varied"] == ["layers.index", "init"]
    for job in content["jobs"]:
        if "layers.index=9" in job["overrides"]:
            assert job["run"] is None
            assert job["error"].startswith("layer 9 is not in tiny")
        else:
            assert Path(job["run"], "manifest.json").is_file()
    assert [(row["init"], row["topology"]) for row in table(sweep)] == [
        ("pretrained", "layer_1"), ("random", "layer_1"),
    ]  # fmt: skip
    for image in ("summary.png", "pretrained_random.png"):
        assert (sweep / image).read_bytes().startswith(b"\x89PNG")
    said = [line.split("  ", 1)[-1] for line in capsys.readouterr().err.splitlines()]
    assert "2 of 4 runs succeeded; the summary covers these" in said
    assert said[-1].startswith("probe: 2 runs of the sweep failed: layers=single layers.index=9")
