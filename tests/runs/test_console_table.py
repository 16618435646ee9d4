"""The table at the end of a run says every measure beside its chance, and what not to trust."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probe.config import MeasuresConfig
from probe.measures import Measures, measure
from probe.runs.console_table import log_table
from probe.topology import Topology
from probe.topology.reliability import Null, Reliability
from tests.topologies import random_correlations, topology_of

NULL = Null.of([np.array([0.1, -0.3])])
KNOWN = Reliability(
    tokens=400, noise=0.01, split_half=0.875, halves=[], layer_agreement={}, null=NULL
)
SETTINGS = MeasuresConfig(density=0.3, rewired=0, hubs=7)


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="probe")


def make(
    name: str, seed: int, reliability: Reliability | None = None, **changed: Any
) -> tuple[Topology, Measures]:
    topology = topology_of(random_correlations(12, seed), name=name, reliability=reliability)
    return topology, replace(measure(topology, SETTINGS), **changed)


def known(**changed: Any) -> Reliability:
    return replace(KNOWN, **changed)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def with_modularity(found: Measures, null: float | None) -> Measures:
    return replace(found, graphs=[replace(found.graphs[0], modularity=0.41, modularity_null=null)])


def test_every_measure_stands_in_its_column(caplog: pytest.LogCaptureFixture) -> None:
    topology, found = make("layer_3", 1, KNOWN)
    log_table([(topology, with_modularity(found, 0.25))])
    header, line = caplog.messages
    assert header.split() == [
        "topology", "neurons", "mean", "|r|", "chance", "shifted", "split-half", "r", "Gini",
        "eff.", "dim.", "modularity", "hubs",
    ]  # fmt: skip
    assert line.split() == [
        "layer_3", "12", f"{found.mean_abs_r:.4f}", f"{np.sqrt(2 / np.pi * 0.01):.4f}", "0.2000",
        "0.875", f"{found.strength_gini:.3f}", f"{found.participation_ratio:.1f}",
        "0.41", "(0.25)", *(str(neuron) for neuron, _ in found.hubs[:5]),
    ]  # fmt: skip


def test_numbers_stand_right_below_their_names(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [make("layer_0", 1, KNOWN), make("all_layers_part1", 2, KNOWN)]
    log_table(pairs)
    header, *lines = caplog.messages
    for (topology, found), line in zip(pairs, lines, strict=True):
        assert line.startswith(topology.name + " ")
        for name, value in (
            ("neurons", "12"),
            ("mean |r|", f"{found.mean_abs_r:.4f}"),
            ("split-half r", "0.875"),
            ("eff. dim.", f"{found.participation_ratio:.1f}"),
        ):
            assert line[: header.index(name) + len(name)].endswith(f" {value}")
        assert line.endswith(" ".join(str(neuron) for neuron, _ in found.hubs[:5]))


def test_columns_without_an_entry_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    topology, found = make("layer_0", 1)
    log_table([(topology, replace(found, graphs=[]))])
    assert caplog.messages[0].split() == [
        "topology", "neurons", "mean", "|r|", "Gini", "eff.", "dim.", "hubs",
    ]  # fmt: skip


def test_a_column_with_one_entry_is_blank_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    log_table([make("layer_0", 1), make("layer_1", 2, known(null=None))])
    header, without, with_halves = caplog.messages
    assert "shifted" not in header
    end = header.index("split-half r") + len("split-half r")
    assert with_halves[:end].endswith(" 0.875")
    assert without[end - len("split-half r") : end].strip() == ""


@pytest.mark.parametrize(("null", "cell"), [(0.25, "0.41 (0.25)"), (None, "0.41")])
def test_modularity_is_shown_with_that_of_rewired_graphs(
    null: float | None, cell: str, caplog: pytest.LogCaptureFixture
) -> None:
    topology, found = make("layer_0", 1)
    log_table([(topology, with_modularity(found, null))])
    assert f"  {cell}  " in caplog.messages[1]


def test_the_modularity_shown_is_that_of_the_first_density(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology, found = make("layer_0", 1)
    graphs = [replace(found.graphs[0], modularity=value) for value in (None, 0.41)]
    log_table([(topology, replace(found, graphs=graphs))])
    assert "modularity" not in caplog.messages[0]


@pytest.mark.parametrize(("split_half", "warned"), [(0.4999, True), (-0.2, True), (0.5, False)])
def test_a_topology_that_is_mostly_noise_is_warned_of(
    split_half: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log_table([make("layer_0", 1, known(split_half=split_half)), make("layer_1", 2, KNOWN)])
    assert warnings_of(caplog) == [
        f"layer_0: split-half r is only {split_half:.2f}: much of this matrix is noise; use more "
        "or longer examples"
    ] * warned  # fmt: skip


def test_without_halves_nothing_is_said_of_noise(caplog: pytest.LogCaptureFixture) -> None:
    log_table([make("layer_0", 1, known(split_half=None)), make("layer_1", 2)])
    assert warnings_of(caplog) == []
    assert "split-half" not in caplog.messages[0]


def test_neurons_that_never_varied_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    topology, _ = make("layer_0", 1)
    dead = tuple(range(1, 11))
    matrix = topology.matrix.copy()
    matrix[list(dead)] = 0
    matrix[:, list(dead)] = 0
    topology = replace(topology, matrix=matrix, undefined=dead)
    log_table([(topology, measure(topology, SETTINGS)), make("layer_1", 2)])
    (warning,) = warnings_of(caplog)
    assert warning == (
        "layer_0: 10 neurons never varied (1, 2, 3, 4, 5, 6, 7, 8 …); the rows are 0"
    )
    assert caplog.messages[1].split()[1] == "2", "two neurons are left"
    caplog.clear()
    log_table(
        [
            make("layer_0", 1),
            (replace(make("layer_1", 2)[0], undefined=(3,)), make("layer_1", 2)[1]),
        ]
    )
    assert warnings_of(caplog) == ["layer_1: 1 neuron never varied (3); the rows are 0"]


def test_the_layers_that_agree_most_and_least_with_their_mean_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agreement = {"0": 0.31, "2": 0.94, "10": 0.62}
    log_table([make("all_layers", 1, known(layer_agreement=agreement)), make("layer_1", 2, KNOWN)])
    assert caplog.messages[3:] == [
        "all_layers: the correlations of single layers agree with this mean at r = 0.31 (layer 0) "
        "to 0.94 (layer 2), on a sample of neurons"
    ]
    assert warnings_of(caplog) == []


def test_measures_that_were_left_out_are_said_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_table([make("layer_0", 1, skipped={"modularity": "too many edges"}), make("layer_1", 2)])
    assert caplog.messages[3:] == ["layer_0: modularity left out: too many edges"]


def test_of_many_pairs_of_layers_some_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    matrix = random_correlations(6, 0)
    crossed = [
        topology_of(matrix, name=f"cross_layer_0_{k}", layers=(0, k), kind="cross", undefined=(2,))
        for k in range(1, 43)
    ]
    log_table([(topology, measure(topology)) for topology in crossed])
    assert caplog.messages[0].split() == ["topology", "neurons", "mean", "|r|"]
    assert caplog.messages[40].startswith("cross_layer_0_40 ")
    assert caplog.messages[41] == "and 2 more pairs of layers in measures.json"
    assert warnings_of(caplog) == [
        "neurons never varied in 42 of 42 matrices, 1 (cross_layer_0_1: 2); their rows are 0"
    ]


def test_what_concerns_many_matrices_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def with_halves(layer: int, split_half: float | None) -> tuple[Topology, Measures]:
        topology, found = make(f"layer_{layer}", layer)
        topology = replace(topology, reliability=known(split_half=split_half), undefined=())
        return topology, replace(found, skipped={"path_length": f"{layer} edges"} if layer else {})

    low = [0.46, 0.23, 0.31, 0.449, 0.9]
    pairs = [with_halves(layer, r) for layer, r in enumerate([*low, None])]
    log_table(pairs)
    assert warnings_of(caplog) == [
        "split-half r is below 0.5 in 4 of 5 matrices, 0.23 to 0.46 (layer_0 to layer_3, 4 in "
        "all): much of them is noise; use more or longer examples"
    ]
    assert caplog.messages[-1] == (
        "layer_1 to layer_5, 5 in all: path_length left out: 1 edges and the like"
    )
    caplog.clear()
    log_table([(replace(topology, undefined=(1, 5)), m) for topology, m in pairs])
    assert warnings_of(caplog)[0] == (
        "neurons never varied in 6 of 6 matrices, 2 (layer_0: 1, 5); their rows are 0"
    )
    caplog.clear()
    parts = [
        make(f"all_layers_part{part}", part, known(layer_agreement={"0": part / 10, "1": 0.35}))
        for part in (2, 3)
    ]
    log_table(parts)
    assert caplog.messages[-1] == (
        "all_layers_part2, all_layers_part3: the correlations of single layers agree with this "
        "mean at r = 0.20 (layer 0) to 0.35 (layer 1), on a sample of neurons"
    )
