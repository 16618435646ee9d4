"""The benchmark of the multifractal analysis: both ways agree, and shards hold what is sampled."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import multifractal
from benchmarks.commands import Usage
from benchmarks.neox import published_layout, random_blocks, weights_of, write_shards
from benchmarks.timing import Timing
from experiments.multifractal.reading import network, neurons

SHAPE = 2, 128, (0.0228, 0.006)


def test_both_ways_agree(tmp_path: Path) -> None:
    found = multifractal.agreement(list(random_blocks(*SHAPE)), tmp_path)
    assert found[multifractal.DIRECT] < 1e-12
    assert found[multifractal.SCIPY] < 1e-14


def test_the_network_of_shards_is_that_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probe.api import compose
    from probe.api.parts import open_weights

    write_shards(tmp_path, *SHAPE)
    shards = list(tmp_path.glob("*.safetensors"))
    assert len(shards) == 2
    assert sum(shard.stat().st_size for shard in shards) == pytest.approx(
        2 * 2 * 12 * 128**2, rel=0.01
    )
    layout = published_layout(*SHAPE[:2])
    drawn = neurons(layout, 16, 0)
    config = compose("model=local", f"model.path={tmp_path}")
    stored = network(open_weights(config.model, config.init), layout, drawn)
    expected = network(weights_of(list(random_blocks(*SHAPE))), layout, drawn)
    for one, other in zip(stored.links, expected.links, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-3, atol=1e-7)
    monkeypatch.setattr(multifractal, "LARGE", SHAPE)
    multifractal.far(str(tmp_path), str(tmp_path / "found.json"))
    assert json.loads((tmp_path / "found.json").read_text())["nodes"] == 2 * 512 + 64


def test_the_report_compares_what_does_the_same() -> None:
    timings = {
        multifractal.OURS: Timing([0.1, 0.1], [0.1, 0.1]),
        multifractal.DIRECT: Timing([5.0, 7.0], [5.0, 6.0]),
        multifractal.COMPILED: Timing([0.5, 0.5], [0.5, 0.5]),
        multifractal.SCIPY: Timing([10.0, 20.0], [10.0, 10.0]),
    }
    found = {"reading": 1.0, "paths": 2.0, "nodes": 100, "counted": 9, "shards": 10**9}
    found["libraries"] = 2 * 10**8
    report = multifractal.report(
        timings, {multifractal.DIRECT: 1e-14}, Usage(5.0, 4.0, 3 * 10**8), found, 2
    )
    assert [row[2] for row in report.rows] == ["1.0", "60.0", "1.0", "30.0", ""]
    assert report.rows[1][5] == "1.0e-14"
    assert report.rows[-1][1] == "3"
    assert report.rows[-1][-1] == "300"
