"""What a run leaves beside its matrices: measures, figures, a table on the console, one record."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from probe import results
from probe.config import Config, DataConfig, ModelConfig, TrackingConfig
from probe.measures import measure
from probe.results import show, write
from probe.run_folder import RunFolder
from probe.topology import Topology
from probe.tracking import Record
from tests.topologies import random_correlations, topology_of

FACTS: dict[str, Any] = {
    "examples": 40,
    "tokens": 2920,
    "ranks": 1,
    "seconds": 12.34,
    "layers": [0, 3],
    "first_token_norm": [1.5, 7.25],
}


def make(name: str, seed: int, **changed: Any) -> Topology:
    layers = (int(name.split("_")[1]),) if name.startswith("layer_") else (0, 3)
    return topology_of(random_correlations(12, seed), **{"name": name, "layers": layers} | changed)


LAYERS = [make("layer_0", 1), make("layer_3", 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """Claim the place of a run."""
    config = Config(
        model=ModelConfig(name="tiny", id="bundled/tiny"),
        data=DataConfig(source="text", name="words"),
        tracking=TrackingConfig(enabled=False),
        output=str(tmp_path),
    )
    place = RunFolder(config)
    with place.claimed([]):
        yield place


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(
        results, "figures", lambda *_: {kind: Figure(figsize=(0.2, 0.2)) for kind in ("a", "b")}
    )
    caplog.set_level(logging.INFO, logger="probe")


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "measures_by_layer.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_measures_are_kept_in_full(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    kept = json.loads((folder.path / "measures.json").read_text())
    assert list(kept) == ["layer_0", "layer_3"]
    for topology in LAYERS:
        assert kept[topology.name] == json.loads(json.dumps(asdict(measure(topology))))
        assert len(kept[topology.name]["hubs"]) == 10


def test_the_table_by_layer_has_a_row_for_every_topology(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    table = rows(folder.path)
    assert [(row["topology"], row["layer"], row["part"]) for row in table] == [
        ("layer_0", "0", "1"),
        ("layer_3", "3", "1"),
    ]
    for topology, row, norm in zip(LAYERS, table, FACTS["first_token_norm"], strict=True):
        numbers = measure(topology).numbers()
        assert {name: float(row[name]) for name in numbers} == numbers
        assert float(row["first_token_norm"]) == norm
        assert set(row) == {"topology", "layer", "part", "first_token_norm", *numbers}


def test_a_mean_over_layers_has_no_layer_and_no_first_token(folder: RunFolder) -> None:
    parts = [make("all_layers_part1", 1, parts=2), make("all_layers_part2", 2, part=2, parts=2)]
    write(folder, parts, FACTS, None)
    for number, row in enumerate(rows(folder.path), start=1):
        assert (row["layer"], row["part"], row["first_token_norm"]) == ("", str(number), "")


def test_without_a_first_token_the_column_is_empty(folder: RunFolder) -> None:
    facts = {name: value for name, value in FACTS.items() if name != "first_token_norm"}
    write(folder, LAYERS, facts, None)
    assert [row["first_token_norm"] for row in rows(folder.path)] == ["", ""]


def test_every_figure_is_a_whole_png(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    files = sorted((folder.path / "figures").iterdir())
    assert [file.name for file in files] == [
        "layer_0_a.png", "layer_0_b.png", "layer_3_a.png", "layer_3_b.png",
    ]  # fmt: skip
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_the_manifest_is_written_last_and_before_wandb_is_told(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[str] = []
    close = folder.close

    def closing(facts: dict[str, Any]) -> None:
        before.extend(sorted(file.name for file in folder.work.rglob("*.*")))
        assert not folder.path.exists()
        close(facts)

    def tracking(_: Config, run: Path, record: Record) -> None:
        assert (run / "manifest.json").exists()
        assert all(file.is_file() for file in (*record.matrices, *record.images.values()))

    monkeypatch.setattr(folder, "close", closing)
    monkeypatch.setattr(results, "track", tracking)
    write(folder, LAYERS, FACTS, None)
    assert before == [
        "config.yaml",
        "layer_0_a.png", "layer_0_avg_corr.npy", "layer_0_b.png",
        "layer_3_a.png", "layer_3_avg_corr.npy", "layer_3_b.png",
        "measures.json", "measures_by_layer.csv", "overrides.yaml", "probe.log",
    ]  # fmt: skip


def test_wandb_is_told_once_everything_that_was_made(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Config, Path, Record]] = []
    monkeypatch.setattr(results, "track", lambda *call: calls.append(call))
    error = np.zeros((12, 12), dtype=np.float32)
    first = make("layer_0", 1, standard_error=error)
    write(folder, [first, LAYERS[1]], FACTS, "2026-11-20_12-00-00")
    ((config, run, record),) = calls
    assert config is folder.config
    assert run == folder.path
    assert record.name == f"tiny/words/{run.name}"
    assert record.group == "2026-11-20_12-00-00"
    assert [topology for topology, _ in record.topologies] == [first, LAYERS[1]]
    assert [found for _, found in record.topologies] == [measure(first), measure(LAYERS[1])]
    assert all(file.is_relative_to(run) for file in (*record.matrices, *record.images.values()))
    assert set(record.images) == {"layer_0/a", "layer_0/b", "layer_3/a", "layer_3/b"}
    assert {file.name for file in record.matrices} == {
        "layer_0_avg_corr.npy", "layer_0_avg_corr_stderr.npy", "layer_3_avg_corr.npy",
    }  # fmt: skip
    assert record.facts == {"examples": 40, "tokens": 2920, "ranks": 1, "seconds": 12.34}


def test_the_console_shows_the_measures_in_columns(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, LAYERS, FACTS, None)
    header, *lines = caplog.messages[:3]
    assert header.split() == [
        "topology", "neurons", "mean", "|r|", "|r|>0.3", "strength", "Gini", "n²/‖R‖²", "hubs",
    ]  # fmt: skip
    for topology, line in zip(LAYERS, lines, strict=True):
        m = measure(topology)
        assert line.split() == [
            topology.name, "12", f"{m.mean_abs_r:.4f}", f"{100 * m.share_above['0.3']:.1f}%",
            f"{m.strength_mean:.1f}", f"{m.strength_gini:.3f}", f"{m.participation_ratio:.1f}",
            *(str(neuron) for neuron, _ in m.hubs[:5]),
        ]  # fmt: skip
        for name, end in (
            ("neurons", "12"),
            ("mean |r|", f"{m.mean_abs_r:.4f}"),
            ("n²/‖R‖²", f"{m.participation_ratio:.1f}"),
        ):
            right = header.index(name) + len(name)
            assert line[:right].endswith(end), "numbers stand right below their names"


def test_columns_hold_for_long_names(caplog: pytest.LogCaptureFixture) -> None:
    show([make("layer_0", 1), make("all_layers_part1", 2)])
    header, *lines = caplog.messages
    places = {line.index("12", len("all_layers_part1")) for line in lines}
    assert places == {header.index("neurons") + len("neurons") - 2}


def test_the_console_says_how_much_was_done_and_where_it_is(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, LAYERS, FACTS, None)
    assert caplog.messages[3:] == [
        "40 examples, 2920 tokens, 12.3 s on 1 rank",
        f"topologies, measures and figures: {folder.path}",
    ]


def test_the_console_names_several_ranks_and_the_wandb_run(
    folder: RunFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "track", lambda *_: "https://wandb.ai/a/b/runs/c")
    write(folder, LAYERS, FACTS | {"ranks": 4}, None)
    assert any(line.endswith("12.3 s on 4 ranks") for line in caplog.messages)
    assert caplog.messages[-1] == "W&B run: https://wandb.ai/a/b/runs/c"


def test_neurons_that_never_varied_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    dead = tuple(range(1, 11))
    matrix = LAYERS[0].matrix.copy()
    matrix[list(dead)] = 0
    matrix[:, list(dead)] = 0
    show([replace(LAYERS[0], matrix=matrix, undefined=dead), LAYERS[1]])
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    message = warning.getMessage()
    assert message.startswith("layer_0: 10 neurons never varied (1, 2, 3, 4, 5, 6, 7, 8 …)")
    assert caplog.messages[1].split()[1] == "2", "two neurons are left"
