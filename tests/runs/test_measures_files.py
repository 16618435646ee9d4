"""Tables come out as they were put in."""

import csv
from pathlib import Path

import pytest

from probe.errors import UserError
from probe.runs.manifest import write_manifest
from probe.runs.measures_files import defined_alike, read_numbers
from probe.system.tables import aligned, write_csv
from tests.run_folders import save_run
from tests.topologies import random_correlations, topology_of


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = aligned(["a", "number"], [["a name", "1"], ["b", "-12345.678"]])
    assert lines == ["a           number", "a name           1", "b       -12345.678"]


def test_a_csv_has_every_column_that_any_row_has(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"a": 1, "b": "x,y"}, {"a": 2.5, "c": None}])
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"a": "1", "b": "x,y", "c": ""},
            {"a": "2.5", "b": "", "c": ""},
        ]


def test_the_numbers_of_a_run_are_read_by_topology(tmp_path: Path) -> None:
    layers = [
        topology_of(random_correlations(8, n), name=f"layer_{n}", layers=(n,)) for n in (0, 3)
    ]
    numbers = read_numbers(save_run(tmp_path, *layers))
    assert list(numbers) == ["layer_0", "layer_3"]
    upper = abs(layers[1].matrix[~(layers[1].matrix == 1)]).mean()
    assert numbers["layer_3"]["mean_abs_r"] == pytest.approx(upper)
    assert not {"topology", "layer", "part"} & set(numbers["layer_0"])


def test_a_run_without_its_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks .*measures_by_layer\.csv; do the run again"):
        read_numbers(tmp_path)


def test_what_runs_define_otherwise_is_left_out_of_the_older(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = {"mean_r": 0.5, "modularity_at_0.05": 0.2, "rich_club": 1.5, "clustering": 0.25}
    old, new = tmp_path / "old", tmp_path / "new"
    for run, content in ((old, {}), (new, {"measures_definition": 2})):
        write_manifest(run, content)
    assert defined_alike([old, old], [numbers, numbers]) == [numbers, numbers]
    assert not caplog.messages, "all are alike"
    found = defined_alike([new, old], [numbers, numbers])
    assert found == [numbers, {"mean_r": 0.5, "clustering": 0.25}]
    assert f"rewired graphs of {old} are by an earlier definition and left out" in caplog.text
