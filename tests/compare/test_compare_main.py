"""`python -m probe.compare`: its page, its mistakes, and the files that it leaves."""

import csv
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from probe import plots
from probe.compare import load_items
from probe.compare.__main__ import main
from probe.compare.report import default_folder
from probe.plots import title
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests.run_folders import config_of, save_run
from tests.topologies import random_correlations, topology_of

TABLES = ["comparison.csv", "differences.csv", "measures.csv"]


def make(name: str, seed: int, tokens: int = 900, **changed: Any) -> Topology:
    usual = {
        "name": name,
        "layers": (int(name.split("_")[1]),),
        "reliability": Reliability(tokens, 0.01, 0.8, [], {}, None),
    }
    return topology_of(random_correlations(20, seed), **usual | changed)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Leave a run of three layers, and one of the same layers of random weights."""
    layers = [make(f"layer_{n}", n) for n in range(3)]
    untrained = [make(f"layer_{n}", n + 9, init="random", tokens=450) for n in range(3)]
    return [
        save_run(tmp_path / "runs/each-mean-01234567", *layers),
        save_run(
            tmp_path / "runs/each-mean-random-89abcdef",
            *untrained,
            config=config_of(init="random", seed=4),
        ),
    ]


@pytest.fixture(autouse=True)
def drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> dict[str, tuple[Any, ...]]:
    """Work in an empty folder, and keep what is given to the figures instead of drawing it."""
    calls: dict[str, tuple[Any, ...]] = {}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    caplog.set_level(logging.INFO)
    for name in ("side_by_side", "comparison"):

        def draw(*given: Any, name: str = name) -> Figure:
            calls[name] = given
            return Figure(figsize=(0.1, 0.1))

        monkeypatch.setattr(plots, name, draw)
    return calls


def call(*words: str | Path) -> int:
    return main([str(word) for word in words])


def read(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / table).open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_run_is_compared_layer_by_layer(
    runs: list[Path], drawn: dict[str, tuple[Any, ...]]
) -> None:
    assert call(runs[0], "--output", "out") == 0
    out = Path("out")
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*TABLES, "beside.png", "comparison.png"]
    )
    rows = read(out, "comparison.csv")
    assert [(row["item_a"], row["item_b"]) for row in rows] == [
        ("layer_0", "layer_1"), ("layer_0", "layer_2"), ("layer_1", "layer_2"),
    ]  # fmt: skip
    upper = np.triu_indices(20, 1)
    entries = [item.topology.matrix[upper].astype(float) for item in load_items(runs[:1])]
    assert float(rows[1]["correlation"]) == pytest.approx(np.corrcoef(entries)[0, 2])
    assert float(rows[1]["ceiling"]) == pytest.approx(1.6 / 1.8)
    assert rows[1]["spearman"] == ""
    assert {row["neurons_matched"] for row in rows} == {"True"}
    assert len(read(out, "differences.csv")) == 30
    assert [row["item"] for row in read(out, "measures.csv")] == ["layer_0", "layer_1", "layer_2"]
    labels, correlations, overlaps, chance, source = drawn["comparison"]
    assert source == title(*(item.topology for item in load_items(runs[:1])))
    assert labels == ["layer_0", "layer_1", "layer_2"]
    assert correlations[0, 2] == float(rows[1]["correlation"])
    assert overlaps[0, 2] == float(rows[1]["hubs_share"])
    assert chance == pytest.approx(np.mean([float(row["hubs_chance"]) for row in rows]))


def test_differences_name_neurons_and_both_values(runs: list[Path]) -> None:
    call(runs[0], "--output", "out")
    matrices = {item.label: item.topology.matrix for item in load_items(runs[:1])}
    for row in read(Path("out"), "differences.csv"):
        place = int(row["neuron_i"]), int(row["neuron_j"])
        a, b = (float(matrices[row[f"item_{x}"]][place]) for x in "ab")
        assert (float(row["r_a"]), float(row["r_b"])) == (a, b)
        assert float(row["difference"]) == b - a


def test_inits_are_compared_by_measures_and_the_reason_is_said(
    runs: list[Path], caplog: pytest.LogCaptureFixture, drawn: dict[str, tuple[Any, ...]]
) -> None:
    assert call(*runs, "--output", "out") == 0
    rows = read(Path("out"), "comparison.csv")
    unmatched = [row for row in rows if row["neurons_matched"] == "False"]
    assert (len(rows), len(unmatched)) == (15, 9)
    for row in unmatched:
        assert row["correlation"] == row["hubs_share"] == row["rms_difference"] == ""
        assert row["why_not"] == "pretrained and random (seed 4) weights began differently"
        assert float(row["relative_mean_abs_r"]) != 0
    (line,) = [line for line in caplog.messages if "by measures only" in line]
    assert line.startswith("9 pairs compared by measures only, e.g. each-mean/layer_0 and each")
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.startswith("the items have between 450 and 900 tokens")
    assert "side_by_side" not in drawn, "six heat maps have no room"
    assert np.isnan(drawn["comparison"][1]).sum() == 18


def test_nothing_in_common_leaves_no_empty_tables(runs: list[Path]) -> None:
    first = make("layer_0", 0)
    one = save_run(Path("one"), first)
    other = save_run(Path("other"), first, config=config_of("org/other"))
    assert call(one, other, "--output", "out") == 0
    left = sorted(path.name for path in Path("out").iterdir())
    assert left == ["beside.png", "comparison.csv", "measures.csv"]


def test_the_console_shows_every_pair(runs: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    call(runs[0], "--output", "out", "--spearman")
    header, *lines = caplog.messages
    assert header.split("  ")[0] == "items"
    rows = read(Path("out"), "comparison.csv")
    assert all(row["spearman"] for row in rows)
    for line, row in zip(lines, rows, strict=False):
        assert line.split() == [
            row["item_a"], row["item_b"],
            *(
                f"{float(row[key]):.4g}"
                for key in (
                    "correlation", "ceiling", "rms_difference",
                    "hubs_share", "hubs_chance", "hubs_p",
                )
            ),
        ]  # fmt: skip
    assert caplog.messages[-1] == "tables and figures: out"


def test_long_tables_are_cut_on_the_console(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = save_run(tmp_path / "many", *(make(f"layer_{n}", n) for n in range(10)))
    call(run, "--output", "out")
    assert "and 5 more pairs in comparison.csv" in caplog.messages
    assert len(read(Path("out"), "comparison.csv")) == 45


def test_without_an_output_the_folder_is_named_by_the_inputs(runs: list[Path]) -> None:
    assert call(runs[0]) == call(runs[0]) == 0
    (folder,) = Path("outputs/compare").iterdir()
    assert len(folder.name) == 8
    assert call(runs[0], "--seed", "1") == call(*runs) == 0
    assert len(list(Path("outputs/compare").iterdir())) == 3


def test_the_name_follows_what_the_runs_hold(runs: list[Path]) -> None:
    before = default_folder(load_items(runs), {})
    save_run(runs[1], make("layer_0", 99, init="random"))
    manifest = runs[1] / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    assert default_folder(load_items(runs), {}) != before


def test_an_older_comparison_is_replaced_as_a_whole(runs: list[Path]) -> None:
    call(runs[0], "--output", "out")
    Path("out/comparison.csv").write_text("old")
    Path("out/left.txt").write_text("")
    assert call(runs[0], "--output", "out") == 0
    assert not Path("out/left.txt").exists()
    assert len(read(Path("out"), "comparison.csv")) == 3
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_an_empty_folder_is_filled(runs: list[Path]) -> None:
    Path("out").mkdir()
    assert call(runs[0], "--output", "out") == 0
    assert Path("out/comparison.csv").is_file()


def test_a_failure_leaves_nothing_and_an_older_comparison_as_it_was(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Figure:
        raise RuntimeError("no ink")

    call(runs[0], "--output", "out")
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    monkeypatch.setattr(plots, "side_by_side", fail)
    for folder in ("out", "new"):
        with pytest.raises(RuntimeError, match="no ink"):
            call(runs[0], "--output", folder)
    assert [path.name for path in Path().iterdir()] == ["out"]
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before


def test_a_folder_with_other_files_is_left_alone(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/paper.tex").write_text("")
    assert call(runs[0], "--output", "mine") == 1
    assert capsys.readouterr().err == (
        "probe: mine contains other files; give --output a new folder\n"
    )
    assert [path.name for path in Path("mine").iterdir()] == ["paper.tex"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "the following arguments are required: RUN; --help shows the usage"),
        (
            ["nowhere"],
            "/nowhere is not a finished run: it has no manifest.json; give a run's folder",
        ),
        (["x", "--permutations", "0"], "--permutations 0 is too small; give 1 or more"),
        (["x", "--seed", "-1"], "--seed -1 is too small; give 0 or more"),
        (["x", "--colour"], "unrecognized arguments: --colour; --help shows the usage"),
    ],
)
def test_a_mistake_costs_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == 1
    said = capsys.readouterr().err
    assert said.startswith("probe: ")
    assert said.endswith(f"{line}\n")
    assert said.count("\n") == 1


def test_a_folder_that_cannot_be_written_costs_one_line(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert call(runs[0], "--output", "file/out") == 1
    assert capsys.readouterr().err == (
        "probe: file/out cannot be written (Not a directory); give another folder with --output\n"
    )


def test_an_interrupted_comparison_exits_130(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> Figure:
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "comparison", interrupt)
    assert call(runs[0], "--output", "out") == 130
    assert capsys.readouterr().err.endswith("probe: interrupted\n")
    assert list(Path().iterdir()) == []


@pytest.mark.processes
def test_help_has_examples_and_imports_nothing_heavy() -> None:
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('probe.compare', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'wandb'} & set(sys.modules)))\n"
    )
    root = Path(plots.__file__).resolve().parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=True,
    )  # fmt: skip
    assert ended.stdout.endswith("[]\n")
    for line in ("python -m probe.compare outputs/tiny", "differences.csv", "--permutations N"):
        assert line in ended.stdout
