"""Both sides of the benchmark of measures do the same work; ratios are taken within a round."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measures
from benchmarks.commands import Usage
from benchmarks.measures import Side


def test_matrices_are_correlations_with_communities() -> None:
    matrix = measures.correlations(60, 1)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diagonal(matrix) == 1).all()
    assert np.abs(matrix).max() <= 1
    assert np.abs(matrix[~np.eye(60, dtype=bool)]).mean() > 0.03


def test_the_report_has_ratios_of_rounds_and_what_was_skipped() -> None:
    def one(seconds: float, measuring: float | None, modularity: float, *skipped: str) -> Side:
        return Side(Usage(seconds, seconds, 10**8), measuring, [modularity], list(skipped))

    work = {
        "figures": [
            (one(20, None, 0.2), one(4, None, 0.3)),
            (one(60, None, 0.2), one(5, None, 0.3)),
        ],
        "single": [(one(9, 2, 0.2, "rich_club"), one(9, 1, 0.1))] * 2,
    }
    report = measures.report(work, {1: 30.0, 1 + measures.READ: 34.5}, 2)
    assert report.rows == [
        ["figures", "40.00", "4.50", "8.5", "", ""],
        ["single", "2.00", "1.00", "2.0", "rich_club", ""],
        ["extraction of 100 texts, 24 × 896", "", "22.50", "", "", ""],
    ]
    assert report.notes[1:] == [
        "figures: modularity is lower than before in 0 of 1.",
        "single: modularity is lower than before in 1 of 1.",
    ]
    assert report.raw["single"][0][1]["modularity"] == [0.1]


@pytest.mark.processes
def test_both_sides_measure_the_same_matrices(tmp_path: Path) -> None:
    known = subprocess.run(["git", "cat-file", "-e", measures.BEFORE], capture_output=True)
    if known.returncode:
        pytest.skip("the commit before is not in this clone")
    measures.earlier(tmp_path / "before")
    measures.write(tmp_path / "run", 40, 1)
    old = measures.side(tmp_path / "before", tmp_path / "run", measures._OLD)
    new = measures.side(measures.ROOT, tmp_path / "run", measures._NEW)
    assert old.skipped == new.skipped == []
    assert old.modularity[0] == pytest.approx(new.modularity[0], abs=0.05)
    assert old.modularity != new.modularity or old.seconds != new.seconds


@pytest.mark.processes
def test_the_extraction_reads_texts_as_long_as_said(tmp_path: Path) -> None:
    found = measures.extraction(tmp_path, shape="tiny")
    assert list(found) == [1, measures.READ + 1]
    assert min(found.values()) > 0
    [run] = tmp_path.glob("out/*/*/*")
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["examples"] == measures.READ + 1
    assert len(manifest["topologies"]) == 3
    assert manifest["tokens"] / manifest["examples"] == pytest.approx(750, rel=0.03)
