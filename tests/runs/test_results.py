"""What a run leaves beside its matrices: measures, figures, one record for W&B, a word of where."""

import csv
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from probe.config import Config, DataConfig, Figures, MeasuresConfig, ModelConfig, TrackingConfig
from probe.measures import Measures, measure
from probe.runs import each_matrix, figure_files, results
from probe.runs.facts import Facts
from probe.runs.folder import RunFolder
from probe.runs.results import show, write
from probe.topology import Topology
from probe.topology.reliability import Reliability
from probe.tracking import Record
from tests.topologies import random_correlations, topology_of

NORMS = [1.5, 7.25]
FACTS = Facts(
    examples=40,
    tokens=2920,
    ranks=1,
    seconds=12.34,
    layers=[0, 3],
    skipped={},
    first_token_norm=NORMS,
)


def make(name: str, seed: int, **changed: Any) -> Topology:
    layers = (int(name.split("_")[1]),) if name.startswith("layer_") else (0, 3)
    return topology_of(random_correlations(12, seed), **{"name": name, "layers": layers} | changed)


LAYERS = [make("layer_0", 1), make("layer_3", 2)]
SETTINGS = MeasuresConfig(density=[0.2, 0.5], rewired=0, hubs=3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """Claim the place of a run."""
    config = Config(
        model=ModelConfig(name="tiny", id="bundled/tiny"),
        data=DataConfig(source="text", name="words"),
        tracking=TrackingConfig(enabled=False),
        measures=SETTINGS,
        output=str(tmp_path),
    )
    place = RunFolder(config)
    with place.claimed([]):
        yield place


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def wanted(_: Figures, measured: Any) -> dict[str | None, list[str]]:
        return {None: ["all"], **{topology.name: ["a", "b"] for topology, _ in measured}}

    def drawn(_: object, kinds: Iterable[str], *__: object) -> dict[str, Figure]:
        return {kind: Figure(figsize=(0.2, 0.2)) for kind in kinds}

    monkeypatch.setattr(figure_files, "wanted", wanted)
    monkeypatch.setattr(figure_files, "figures", lambda *_: drawn(None, ("a", "b")))
    monkeypatch.setattr(figure_files, "run_figures", drawn)
    caplog.set_level(logging.INFO, logger="probe")


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "measures_by_layer.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_measures_are_kept_in_full_and_as_configured(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    kept = json.loads((folder.path / "measures.json").read_text())
    assert list(kept) == ["layer_0", "layer_3"]
    for topology in LAYERS:
        assert kept[topology.name] == json.loads(json.dumps(asdict(measure(topology, SETTINGS))))
        assert len(kept[topology.name]["hubs"]) == 3
        assert [graph["density"] for graph in kept[topology.name]["graphs"]] == [0.2, 0.5]


def test_the_table_by_layer_has_a_row_for_every_topology(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    table = rows(folder.path)
    assert [(row["topology"], row["layer"], row["part"]) for row in table] == [
        ("layer_0", "0", "1"),
        ("layer_3", "3", "1"),
    ]
    for topology, row, norm in zip(LAYERS, table, NORMS, strict=True):
        numbers = measure(topology, SETTINGS).numbers()
        assert {name: float(row[name]) for name in numbers} == numbers
        assert float(row["first_token_norm"]) == norm
        norms = {"first_token_norm", "largest_norm", "tokens_above"}
        assert set(row) == {"topology", "layer", "part", *norms, *numbers}


def test_a_measure_that_one_topology_lacks_is_empty_there(folder: RunFolder) -> None:
    known = Reliability(40, 0.1, 0.8, [], {}, None)
    write(folder, [LAYERS[0], replace(LAYERS[1], reliability=known)], FACTS, None)
    first, second = rows(folder.path)
    assert (first["split_half"], second["split_half"]) == ("", "0.8")


def test_a_mean_over_layers_has_no_layer_and_no_first_token(folder: RunFolder) -> None:
    parts = [make("all_layers_part1", 1, parts=2), make("all_layers_part2", 2, part=2, parts=2)]
    write(folder, parts, FACTS, None)
    for number, row in enumerate(rows(folder.path), start=1):
        assert (row["layer"], row["part"], row["first_token_norm"]) == ("", str(number), "")


def test_without_a_first_token_the_column_is_empty(folder: RunFolder) -> None:
    facts = replace(FACTS, first_token_norm=None)
    write(folder, LAYERS, facts, None)
    assert [row["first_token_norm"] for row in rows(folder.path)] == ["", ""]


def test_every_figure_is_a_whole_png(folder: RunFolder) -> None:
    write(folder, LAYERS, FACTS, None)
    files = sorted((folder.path / "figures").iterdir())
    assert [file.name for file in files] == [
        "all.png", "layer_0_a.png", "layer_0_b.png", "layer_3_a.png", "layer_3_b.png",
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
        "all.png", "config.yaml", "hubs.json",
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
    assert [found for _, found in record.topologies] == [
        measure(first, SETTINGS),
        measure(LAYERS[1], SETTINGS),
    ]
    assert all(file.is_relative_to(run) for file in (*record.matrices, *record.images.values()))
    assert set(record.images) == {"layer_0/a", "layer_0/b", "layer_3/a", "layer_3/b", "all"}
    assert {file.name for file in record.matrices} == {
        "layer_0_avg_corr.npy", "layer_0_avg_corr_stderr.npy", "layer_3_avg_corr.npy",
    }  # fmt: skip
    assert record.facts == {"examples": 40, "tokens": 2920, "ranks": 1, "seconds": 12.34}


def test_figures_of_the_run_are_drawn_of_all_its_measures(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[Topology, Measures]]] = []
    monkeypatch.setattr(
        figure_files, "run_figures", lambda measured, *_: seen.append(list(measured)) or {}
    )
    write(folder, LAYERS, FACTS, None)
    assert seen == [[(topology, measure(topology, SETTINGS)) for topology in LAYERS]]


def test_a_finished_run_is_shown_as_it_was_measured(
    folder: RunFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, LAYERS, FACTS, None)
    told = [line for line in caplog.messages if line.startswith(("topology", "layer_"))]
    caplog.clear()
    monkeypatch.setattr(each_matrix, "measure", None)  # nothing is measured again
    show(folder)
    assert caplog.messages == told
    assert f"{measure(LAYERS[0], SETTINGS).graphs[0].modularity:.2f}" in told[1]


def test_the_console_says_how_much_was_done_and_where_it_is(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, LAYERS, FACTS, None)
    assert caplog.messages[-2:] == [
        "40 examples, 2920 tokens, 12.3 s on 1 rank",
        f"topologies, measures and figures: {folder.path}",
    ]


def test_the_console_names_several_ranks_and_the_wandb_run(
    folder: RunFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "track", lambda *_: "https://wandb.ai/a/b/runs/c")
    write(folder, LAYERS, replace(FACTS, ranks=4), None)
    assert any(line.endswith("12.3 s on 4 ranks") for line in caplog.messages)
    assert caplog.messages[-1] == "W&B run: https://wandb.ai/a/b/runs/c"
