"""Both sides of the benchmark of general linear models find the same; chunks are the signals."""

import numpy as np
import pytest

from benchmarks import glm
from benchmarks.timing import Timing


def test_both_sides_find_the_same() -> None:
    design = glm.scan(400)
    signals = np.concatenate(list(glm.rows(design, 60)))
    assert signals.shape == (400, 60)
    theirs = glm.theirs(signals, design)
    for dtype, error in (("float64", 1e-8), ("float32", 1e-3)):
        ours = glm.ours(signals, design, dtype)
        same = ours.rho == theirs.rho
        assert same.mean() > 0.95
        np.testing.assert_allclose(ours.t[same], theirs.t[same], atol=error)
    assert theirs.t[::10].mean() > 2
    assert abs(np.delete(theirs.t, np.s_[::10]).mean()) < 1


def test_rows_do_not_depend_on_their_chunks() -> None:
    design = glm.scan(100)
    whole, parts = (np.concatenate(list(glm.rows(design, 7, chunk))) for chunk in (100, 9))
    np.testing.assert_array_equal(whole, parts)


def test_a_measured_scale_has_memory_and_seconds() -> None:
    found = glm.scale(100, 50, "float32")
    assert (found.observations, found.units) == (100, 50)
    assert found.peak >= found.before > 1e7
    assert found.adding > 0
    assert found.solving > 0


def test_the_report_has_ratios_errors_and_memory() -> None:
    timings = {
        glm.NILEARN: Timing([20.0, 60.0, 90.0], [30.0] * 3),
        "ours, float64": Timing([2.0, 4.0, 6.0], [3.0] * 3),
    }
    rho = np.array([0.1, 0.2, 0.3])
    found = {
        glm.NILEARN: glm.Found(np.zeros(3), rho),
        "ours, float64": glm.Found(np.array([1e-9, -2e-9, 0.5]), rho + np.array([0, 0, 0.01])),
    }
    scales = [glm.Scale(500, 10**6, "float64", 1.0, 2.0, 10**9, 3 * 10**9)]
    report = glm.report(timings, found, scales, 3)
    assert report.rows[0][1:] == ["60", "1.0", "30", "1.0", "", ""]
    assert report.rows[1][1:] == ["4", "15.0", "3", "10.0", "2.0e-09", "1 (5.0e-01)"]
    assert (
        "at most 2.00 GB beyond the program's, where the signals would be 2.00 GB"
        in (report.notes[1])
    )
    assert report.raw["errors"]["ours, float64"]["largest"] == pytest.approx(2e-9)
