"""Matrices are measured to the same numbers by any number of processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.config import Config, Figures, FiguresConfig, MeasuresConfig
from probe.measures import measure
from probe.runs import each_matrix
from probe.runs.each_matrix import item_of, load_item, measure_each, workers_for
from probe.runs.figure_files import write_figures
from probe.system.workers import Workers
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests.topologies import random_correlations, topology_of

CONFIG = Config(measures=MeasuresConfig(density=[0.2, 0.5], rewired=2, seed=3))
NONE = FiguresConfig(draw=Figures.none)


def topologies(run: Path) -> list[Topology]:
    found = [
        topology_of(random_correlations(40, seed), name=f"layer_{seed}", layers=(seed,))
        for seed in range(3)
    ]
    known = Reliability(40, 0.1, 0.8, [], {}, None)
    wide = np.full((4, 7), 0.25)
    found += [
        topology_of(random_correlations(30, 5), name="layer_5", undefined=(3,), reliability=known),
        topology_of(wide, name="cross_layer_1_2", layers=(1, 2), kind="cross"),
    ]
    for topology in found:
        topology.save(run)
    return found


def test_an_item_holds_all_of_a_topology(tmp_path: Path) -> None:
    for topology in topologies(tmp_path):
        loaded = load_item(item_of(tmp_path, topology))
        assert loaded.record() == topology.record()
        np.testing.assert_array_equal(loaded.matrix, topology.matrix)


def test_measures_by_files_are_those_of_the_topologies(tmp_path: Path) -> None:
    given = topologies(tmp_path)
    with Workers(0) as workers:
        found = measure_each(workers, tmp_path, given, CONFIG)
    assert [topology for topology, _ in found] == given
    for topology, measures in found:
        assert measures == measure(topology, CONFIG.measures)


@pytest.mark.processes
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_finds_the_same(processes: int, tmp_path: Path) -> None:
    given = topologies(tmp_path)
    with Workers(processes) as workers:
        found = measure_each(workers, tmp_path, given, CONFIG)
    assert [measures for _, measures in found] == [measure(each, CONFIG.measures) for each in given]


@pytest.mark.processes
def test_processes_draw_the_same_figures(tmp_path: Path) -> None:
    given = topologies(tmp_path)[-2:]
    everything = FiguresConfig(draw=Figures.all)
    drawn = []
    for folder in ("one", "more"):
        for topology in given:
            topology.save(tmp_path / folder)
        measured = [(topology, measure(topology, CONFIG.measures)) for topology in given]
        with Workers(0 if folder == "one" else 2) as workers:
            images = write_figures(tmp_path / folder, measured, everything, workers)
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in images.values())
        drawn.append({name: file.name for name, file in images.items()})
    assert drawn[0] == drawn[1]
    assert drawn[0]["layer_5/heatmap"] == "layer_5_heatmap.png"


def sized(n: int, count: int) -> list[Topology]:
    return [topology_of(np.broadcast_to(np.float32(0), (n, n)))] * count


@pytest.mark.parametrize(
    ("n", "matrices", "cores", "gigabytes", "processes"),
    [
        (896, 24, 8, 100, 8),
        (896, 6, 8, 100, 6),
        (896, 24, 1, 100, 1),
        (128, 24, 8, 100, 0),
        (4096, 24, 8, 4, 2),
        (4096, 24, 8, None, 8),
    ],
)
def test_as_many_processes_as_there_are_cores_matrices_and_memory_for(
    n: int, matrices: int, cores: int, gigabytes: int | None, processes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(each_matrix, "cores", lambda: cores)
    memory = None if gigabytes is None else gigabytes * 10**9
    monkeypatch.setattr(each_matrix, "available_memory", lambda: memory)
    assert workers_for(sized(n, matrices), NONE).processes == processes


def test_many_figures_are_worth_processes_of_small_matrices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(each_matrix, "cores", lambda: 4)
    assert workers_for(sized(64, 20), FiguresConfig(draw=Figures.all)).processes == 4
    assert workers_for(sized(64, 20), FiguresConfig()).processes == 0, "there is one for all"


@pytest.mark.processes
def test_a_worker_imports_no_torch() -> None:
    code = (
        "import sys, probe.system.worker, probe.runs.each_matrix, probe.runs.figure_files\n"
        "assert not {'torch', 'transformers', 'wandb'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
