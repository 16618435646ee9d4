"""W&B is told once what was found, and never holds up, spoils or ends a run."""

import hashlib
import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from matplotlib.figure import Figure

from probe import api, pipeline
from probe.config import (
    Config,
    DataConfig,
    LayersConfig,
    Mode,
    ModelConfig,
    Selection,
    TrackingConfig,
    to_plain,
)
from probe.measures import Measures, measure, strengths
from probe.runs import figure_files
from probe.runs.hubs_file import read_hubs
from probe.runs.load import load_topologies
from probe.topology import Topology
from probe.topology.reliability import Null, Reliability
from probe.tracking import Record, SweepRecord, track, track_study, track_sweep
from tests.run_folders import QUICK, draw_dots
from tests.topologies import random_correlations, topology_of
from tests.wandb_reader import LoggedRun, read_offline_run

GROUP = "2026-11-20_12-00-00"


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take W&B away from this machine's login, settings and network, and clean up after it."""
    place = tmp_path_factory.mktemp("wandb")
    threads, installed = torch.get_num_threads(), wandb.util.working_set
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
            patch.setenv(f"WANDB_{name}", str(place))
        patch.setenv("HOME", str(place))
        patch.setenv("NETRC", str(place / "netrc"))
        patch.setenv("WANDB_SILENT", "true")
        # Nobody answers here, should anything try to reach the server.
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        # Every run lists all that is installed, which takes longer than the rest of it.
        patch.setattr(wandb.util, "working_set", cache(lambda: list(installed())))
        yield
        wandb.teardown()
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _alone(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Keep a run that one test leaves open from the next one."""
    caplog.set_level(logging.INFO, logger="probe")
    yield
    wandb.finish(exit_code=1)


# A whole run, read back.


@dataclass
class Each:
    config: Config
    run: Path
    measured: list[tuple[Topology, Measures]]
    logged: LoggedRun


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> Each:
    """Do a run of every layer with a figure for each, as one of a sweep."""
    place = tmp_path_factory.mktemp("each")
    text = place / "text.jsonl"
    with text.open("w") as stream:
        for n in range(4):
            line = f"In year {n} the river carried {17 * n} boats of sand to the sea. " * 4
            stream.write(json.dumps({"text": line}) + "\n")
    config = api.compose(
        "model=tiny", "data=text", f"data.path={text}", "layers=each", f"output={place / 'out'}",
        "tracking=wandb", "tracking.mode=offline", "tracking.project=rivers",
        "tracking.tags=[mine]", "tracking.upload=true", "runtime.device=cpu",
        "measures.rewired=0",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        draw_dots(patch)
        dot = Figure(figsize=(0.1, 0.1))
        each = figure_files.wanted
        patch.setattr(figure_files, "wanted", lambda *of: each(*of) | {None: ["measures_by_layer"]})
        patch.setattr(figure_files, "run_figures", lambda _, kinds, __: dict.fromkeys(kinds, dot))
        run = pipeline.run(config, [], GROUP)
    measured = [(topology, measure(topology, config.measures)) for topology in load_topologies(run)]
    return Each(config, run, measured, read_offline_run(run))


def test_the_run_can_be_found_by_name_group_and_tags(each: Each) -> None:
    run = each.logged.run
    assert run.project == "rivers"
    assert run.display_name == f"tiny/text/{each.run.name}"
    assert run.run_group == GROUP
    assert run.job_type == "correlate"
    assert list(run.tags) == ["tiny", "text", "pretrained", "mean", "mine"]


def test_the_configuration_is_that_of_the_run(each: Each) -> None:
    config = {key: value for key, value in each.logged.config.items() if key != "_wandb"}
    assert config == to_plain(each.config)


def test_every_layer_is_one_row_with_its_measures(each: Each) -> None:
    rows = [row for row in each.logged.history if "layer" in row]
    assert [row["layer"] for row in rows] == [0, 1, 2, 3, 4, 5]
    for row, (_, measures) in zip(rows, each.measured, strict=True):
        curves = {
            key.removeprefix("layers/"): value
            for key, value in row.items()
            if key.startswith("layers/")
        }
        assert curves == measures.numbers()
    assert "modularity" in curves


def test_curves_are_drawn_over_the_layer(each: Each) -> None:
    (layer,) = [metric for metric in each.logged.metrics if metric.name == "layer"]
    assert layer.options.hidden
    (curves,) = [metric for metric in each.logged.metrics if metric.glob_name == "layers/*"]
    assert curves.step_metric == "layer"


def test_every_figure_is_an_image(each: Each) -> None:
    images = {key: row[key] for row in each.logged.history for key in row if "figures/" in key}
    drawn = {
        "figures/" + re.sub(r"(layer_\d)_", r"\1/", path.stem): path.read_bytes()
        for path in (each.run / "figures").iterdir()
    }
    assert set(images) == set(drawn)
    assert {"figures/layer_5/heatmap", "figures/measures_by_layer"} < set(images)
    for key, image in images.items():
        assert image["_type"] == "image-file"
        assert image["sha256"] == hashlib.sha256(drawn[key]).hexdigest(), key
        assert (each.logged.folder / "files" / image["path"]).read_bytes() == drawn[key]


def test_the_hubs_of_every_layer_are_in_one_table(each: Each) -> None:
    table = each.logged.table("hubs")
    assert table["columns"] == ["topology", "rank", "neuron", "strength"]
    expected = [
        [topology.name, rank, neuron, pytest.approx(strength)]
        for topology, measures in each.measured
        for rank, (neuron, strength) in enumerate(measures.hubs, start=1)
    ]
    assert table["data"] == expected
    assert len(expected) == 6 * round(0.056 * 128)


def test_hubs_are_told_by_single_tokens_and_no_text_leaves_the_machine(each: Each) -> None:
    table = each.logged.table("hub_tokens")
    names = ["topology", "rank", "neuron", "partners", "tokens", "promotes", "suppresses"]
    assert table["columns"] == names
    hubs = [(name, hub) for name, listed in read_hubs(each.run).items() for hub in listed]
    for row, (name, hub) in zip(table["data"], hubs, strict=True):
        found = dict(zip(names, row, strict=True))
        assert (found["topology"], found["neuron"]) == (name, hub["neuron"])
        partner = hub["partners"][0]
        assert found["partners"].startswith(f"{partner['neuron']} ({partner['r']:+.2f}), ")
        assert found["tokens"] == " ".join(repr(one["token"]) for one in hub["tokens"])
        assert found["promotes"] == " ".join(map(repr, hub["promotes"]))
    told = [file for file in each.logged.folder.rglob("*") if file.is_file()]
    assert told
    for file in told:
        assert b"boats of sand" not in file.read_bytes(), file


def test_the_leading_eigenvalues_of_every_layer_are_in_one_table(each: Each) -> None:
    table = each.logged.table("spectrum")
    assert table["columns"] == ["topology", "rank", "eigenvalue"]
    for topology, _ in each.measured:
        found = [row[1:] for row in table["data"] if row[0] == topology.name]
        expected = np.linalg.eigvalsh(topology.matrix.astype(float))[::-1][:100]
        assert [rank for rank, _ in found] == list(range(1, 101))
        np.testing.assert_allclose([value for _, value in found], expected, atol=1e-5)


def test_the_summary_has_the_numbers_of_every_layer_and_of_the_run(each: Each) -> None:
    summary = each.logged.summary
    for topology, measures in each.measured:
        for name, value in measures.numbers().items():
            assert summary[f"{topology.name}/{name}"] == value
    manifest = json.loads((each.run / "manifest.json").read_text())
    for name in ("examples", "tokens", "ranks", "seconds"):
        assert summary[name] == manifest[name]


def test_the_distributions_are_histograms(each: Each) -> None:
    for topology, _ in each.measured:
        (r,) = each.logged.logged(f"r/{topology.name}")
        pairs = topology.matrix[np.triu_indices(topology.n_neurons, 1)]
        counts, bounds = np.histogram(pairs, bins=100, range=(-1, 1))
        assert r["_type"] == "histogram"
        assert r["values"] == counts.tolist()
        assert r["bins"] == pytest.approx(bounds.tolist())
        (strength,) = each.logged.logged(f"strength/{topology.name}")
        assert sum(strength["values"]) == topology.n_neurons
        assert strength["bins"][0] == pytest.approx(strengths(topology).min())
        assert strength["bins"][-1] == pytest.approx(strengths(topology).max())


def test_matrices_are_an_artifact_that_is_not_copied(each: Each) -> None:
    (artifact,) = [one for one in each.logged.artifacts if one.type == "topology"]
    assert artifact.name == f"tiny-text-{each.run.name}"
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert files == {
        f"layer_{layer}_avg_corr.npy": (each.run / f"topology/layer_{layer}_avg_corr.npy").resolve()
        for layer in range(6)
    }


def test_the_run_is_closed_and_nothing_was_sent(each: Each) -> None:
    assert each.logged.exit_code == 0
    assert wandb.run is None
    assert each.logged.folder.name.startswith("offline-run-")


# Less than a whole run: what is logged of other topologies.


def make(name: str = "all_layers", seed: int = 0, **changed: Any) -> Topology:
    usual = {"name": name, "layers": (0, 1), "subject": "psychology", "init": "random"}
    return topology_of(random_correlations(12, seed), **usual | changed)


def settings(**tracking: Any) -> Config:
    return Config(
        model=ModelConfig(name="tiny", id="bundled/tiny"),
        data=DataConfig(source="text", name="words"),
        tracking=TrackingConfig(**({"mode": Mode.offline} | tracking)),
    )


def record(*topologies: Topology, **changed: Any) -> Record:
    made = Record(
        name="tiny/words/all-mean-01234567",
        group=None,
        topologies=[(topology, measure(topology, QUICK)) for topology in topologies or [make()]],
        images={},
        matrices=[],
        facts={"examples": 4},
    )
    return replace(made, **changed)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("probe.")
    ]


def test_the_numbers_of_a_single_topology_stand_by_themselves(tmp_path: Path) -> None:
    where = track(settings(), tmp_path, record())
    logged = read_offline_run(tmp_path)
    assert where == str(logged.folder)
    for name, value in measure(make(), QUICK).numbers().items():
        assert logged.summary[name] == value
    assert logged.summary["examples"] == 4
    assert not [row for row in logged.history if "layer" in row], "a mean over layers has no layer"
    assert list(logged.run.tags) == ["tiny", "words", "psychology", "random", "mean"]
    assert logged.run.run_group == ""
    assert [one for one in logged.artifacts if one.type == "topology"] == []


def test_parts_of_a_layer_are_curves_of_their_own(tmp_path: Path) -> None:
    parts = [
        make(f"layer_{layer}_part{part}", 10 * layer + part, layers=(layer,), part=part, parts=2)
        for layer in (0, 1)
        for part in (1, 2)
    ]
    track(settings(), tmp_path, record(*parts))
    logged = read_offline_run(tmp_path)
    for part in (1, 2):
        key = f"layers/part{part}/mean_abs_r"
        found = [(row["layer"], row[key]) for row in logged.history if key in row]
        expected = [(t.layer, measure(t, QUICK).mean_abs_r) for t in parts if t.part == part]
        assert found == expected


def test_a_topology_without_sinks_stands_beside_the_numbers_of_the_usual_one(
    tmp_path: Path,
) -> None:
    usual, beside = make("layer_0", 1, layers=(0,)), make("layer_0_without_sinks", 2, layers=(0,))
    token = {"layer": 0, "token": 5, "text": "The", "count": 4, "largest_norm": 180.5}
    track(settings(), tmp_path, replace(record(usual, beside), tokens=[token]))
    logged = read_offline_run(tmp_path)
    for prefix, curve, topology in (
        ("", "layers/", usual), ("layer_0_without_sinks/", "layers/without_sinks/", beside),
    ):  # fmt: skip
        value = measure(topology, QUICK).mean_abs_r
        assert logged.summary[f"{prefix}mean_abs_r"] == value
        assert logged.logged(f"{curve}mean_abs_r") == [value]
    assert logged.table("outlier_tokens")["data"] == [[0, 5, "The", 4, 180.5]]


def test_undefined_neurons_are_in_no_histogram(tmp_path: Path) -> None:
    matrix = make().matrix.copy()
    matrix[[3, 7]] = 0
    matrix[:, [3, 7]] = 0
    track(settings(), tmp_path, record(make(matrix=matrix, undefined=(3, 7))))
    logged = read_offline_run(tmp_path)
    (r,) = logged.logged("r/all_layers")
    assert sum(r["values"]) == 10 * 9 / 2
    (strength,) = logged.logged("strength/all_layers")
    assert sum(strength["values"]) == 10


def test_what_is_known_of_the_noise_is_in_the_summary(tmp_path: Path) -> None:
    counts = [0] * 200
    counts[99], counts[104] = 60, 6
    null = Null(1, 0.02, 0.001, {"0.5": 0.01, "0.95": 0.05}, counts)
    known = Reliability(900, 0.01, 0.6, [], {"0": 0.8, "1": 0.7}, null)
    track(settings(), tmp_path, record(make(reliability=known), make("layer_1", 1, layers=(1,))))
    logged = read_offline_run(tmp_path)
    expected = {
        "null_mean_abs_r": 0.02,
        "null_abs_r_q0.5": 0.01,
        "null_abs_r_q0.95": 0.05,
        "split_half": 0.6,
        "full_length": 1.2 / 1.6,
        "layer_agreement/0": 0.8,
        "layer_agreement/1": 0.7,
    }
    for name, value in expected.items():
        assert logged.summary[f"all_layers/{name}"] == pytest.approx(value), name
        assert f"layer_1/{name}" not in logged.summary
    (shifted,) = logged.logged("r_shifted/all_layers")
    assert shifted["values"] == counts
    assert shifted["bins"] == pytest.approx(np.linspace(-1, 1, 201).tolist())
    assert logged.logged("r_shifted/layer_1") == []


# A sweep.


def sweep_record(**changed: Any) -> SweepRecord:
    rows = [
        {
            "init": init, "layers.index": str(layer), "run": f"runs/{init}", "part": 1,
            "topology": f"layer_{layer}", "layer": layer, "mean_abs_r": size + 0.1 * layer,
        }
        for init, size in (("pretrained", 0.2), ("random", 0.1))
        for layer in (0, 3)
    ]  # fmt: skip
    rows[-1]["modularity"] = 0.5
    made = SweepRecord(
        name=GROUP,
        rows=rows,
        varied={"init": ["pretrained", "random"], "layers.index": ["0", "3"]},
        images={},
        facts={"jobs": 5, "failed": 1},
    )
    return replace(made, **changed)


def test_a_sweep_is_a_run_in_the_group_of_its_runs(tmp_path: Path) -> None:
    image = tmp_path / "summary.png"
    Figure(figsize=(0.1, 0.1)).savefig(image)
    where = track_sweep(settings(tags=["mine"]), tmp_path, sweep_record(images={"all": image}))
    logged = read_offline_run(tmp_path)
    assert where == str(logged.folder)
    assert (logged.run.run_group, logged.run.job_type) == (GROUP, "summarise")
    assert logged.run.display_name == f"summary of {GROUP}"
    assert list(logged.run.tags) == ["mine"]
    assert logged.config["varied"] == {
        "init": ["pretrained", "random"],
        "layers.index": ["0", "3"],
    }
    assert (logged.summary["jobs"], logged.summary["failed"]) == (5, 1)
    (drawn,) = logged.logged("figures/all")
    assert drawn["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert logged.exit_code == 0


def test_all_rows_of_a_sweep_are_in_one_table(tmp_path: Path) -> None:
    given = sweep_record()
    track_sweep(settings(), tmp_path, given)
    table = read_offline_run(tmp_path).table("summary")
    assert table["columns"] == [*given.rows[0], "modularity"]
    for found, row in zip(table["data"], given.rows, strict=True):
        assert found == [row.get(column) for column in table["columns"]]


def test_a_sweeps_curves_run_along_the_layers(tmp_path: Path) -> None:
    track_sweep(settings(), tmp_path, sweep_record())
    logged = read_offline_run(tmp_path)
    for init, size in (("pretrained", 0.2), ("random", 0.1)):
        key = f"layers/init={init}/mean_abs_r"
        curve = [(row["layer"], row[key]) for row in logged.history if key in row]
        assert curve == [(0, pytest.approx(size)), (3, pytest.approx(size + 0.3))]
    curves = {key for row in logged.history for key in row if key.startswith("layers/")}
    assert curves == {
        "layers/init=pretrained/mean_abs_r",
        "layers/init=random/mean_abs_r",
        "layers/init=random/modularity",
    }


def test_a_sweeps_parts_are_curves_and_means_over_layers_are_none(tmp_path: Path) -> None:
    rows = [
        {"run": "r", "topology": f"t{part}", "layer": layer, "part": part, "mean_abs_r": 0.1 * part}
        for layer, part in ((0, 1), (0, 2), (None, 1))
    ]
    track_sweep(settings(), tmp_path, sweep_record(rows=rows, varied={}))
    logged = read_offline_run(tmp_path)
    assert logged.logged("layers/part1/mean_abs_r") == [pytest.approx(0.1)]
    assert logged.logged("layers/part2/mean_abs_r") == [pytest.approx(0.2)]


def test_a_sweep_without_tracking_leaves_nothing(tmp_path: Path) -> None:
    assert track_sweep(settings(enabled=False), tmp_path, sweep_record()) is None
    assert list(tmp_path.iterdir()) == []


# One run after the other.


def test_one_run_after_the_other_are_two_runs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        track(settings(), tmp_path / name, record(name=name))
    first, second = (read_offline_run(tmp_path / name) for name in ("one", "two"))
    assert (first.run.display_name, second.run.display_name) == ("one", "two")
    assert first.run.run_id != second.run.run_id
    assert first.exit_code == second.exit_code == 0


@pytest.mark.parametrize("name", ["my notes (1)", "n" * 150])
def test_any_name_of_a_file_can_be_uploaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    matrix = tmp_path / "all_layers_avg_corr.npy"
    np.save(matrix, make().matrix)
    track(
        settings(upload=True),
        tmp_path,
        record(name=f"tiny/{name}/all-mean-01234567", matrices=[matrix]),
    )
    assert warnings_of(caplog) == []
    (artifact,) = [one for one in read_offline_run(tmp_path).artifacts if one.type == "topology"]
    assert [entry.path for entry in artifact.manifest.contents] == [matrix.name]


@pytest.mark.parametrize("data", ["n" * 64, "n" * 65])
def test_any_name_can_be_a_tag(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: str) -> None:
    assert track(settings(), tmp_path, record(make(data=data))) is not None
    assert warnings_of(caplog) == []
    assert "tiny" in read_offline_run(tmp_path).run.tags


# Online or offline.


class Asked(io.StringIO):
    """A terminal at which nobody sits."""

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:
        raise AssertionError("a question was asked")


def test_without_a_login_the_run_is_kept_offline_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdin", Asked())
    monkeypatch.setattr(sys, "stdout", Asked())
    started = time.monotonic()
    where = track(settings(mode=Mode.auto), tmp_path, record())
    assert time.monotonic() - started < 10
    assert where == str(read_offline_run(tmp_path).folder)
    assert warnings_of(caplog) == []


def test_a_login_that_cannot_be_checked_is_said_and_the_run_kept_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = []

    def login(**options: Any) -> bool:
        limits.append(options["timeout"])
        raise wandb.errors.AuthenticationError("no route to host")

    monkeypatch.setattr(wandb, "login", login)
    assert track(settings(mode=Mode.auto), tmp_path, record()) is not None
    assert read_offline_run(tmp_path).exit_code == 0
    assert warnings_of(caplog) == [
        "W&B cannot be reached (no route to host); the run is kept offline"
    ]
    assert 0 < limits[0] <= 30


class Writer:
    """A run of W&B's that takes everything and keeps nothing."""

    url = "https://wandb.ai/me/rivers/runs/abc"
    dir = "/nowhere/files"
    summary: SimpleNamespace

    def __init__(self) -> None:
        self.summary = SimpleNamespace(update=self.take)

    def take(self, *_: object, **__: object) -> None:
        return None

    define_metric = log = log_artifact = finish = take


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect what `wandb.init` is called with instead of calling it."""
    calls: list[dict[str, Any]] = []

    def init(**options: Any) -> Writer:
        calls.append(options)
        return Writer()

    monkeypatch.setattr(wandb, "init", init)
    return calls


def test_with_a_login_the_run_is_online_and_its_address_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    assert track(settings(mode=Mode.auto, entity="me"), tmp_path, record()) == Writer.url
    (options,) = started
    assert (options["mode"], options["entity"], options["dir"]) == ("online", "me", tmp_path)
    assert options["settings"].init_timeout <= 30, "W&B's own limit is a minute and a half"


@pytest.mark.parametrize(
    ("mode", "environment", "expected"),
    [
        (Mode.online, None, "online"),
        (Mode.offline, None, "offline"),
        (Mode.offline, "online", "offline"),
        (Mode.auto, "offline", "offline"),
    ],
)
def test_a_mode_that_was_given_needs_no_login(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[dict[str, Any]],
    mode: Mode,
    environment: str | None,
    expected: str,
) -> None:
    def login(**_: object) -> bool:
        raise AssertionError("asked for a login")

    monkeypatch.setattr(wandb, "login", login)
    if environment is not None:
        monkeypatch.setenv("WANDB_MODE", environment)
    track(settings(mode=mode), tmp_path, record())
    assert [options["mode"] for options in started] == [expected]


def test_wandb_disabled_by_its_own_variable_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert track(settings(mode=Mode.auto), tmp_path, record()) is None
    assert not list(tmp_path.rglob("*.wandb"))


# Whatever goes wrong.


def fail(*_: object, **__: object) -> None:
    raise ConnectionResetError("the server went away")


@pytest.mark.parametrize("place", ["init", "Settings", "Table", "Histogram"])
def test_whatever_wandb_raises_is_one_warning_and_leaves_no_run_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(wandb, place, fail)
        assert track(settings(), tmp_path, record()) is None
        assert place == "Histogram" or track_sweep(settings(), tmp_path, sweep_record()) is None
    warnings = warnings_of(caplog)
    assert len(warnings) == (1 if place == "Histogram" else 2)
    assert all(one.startswith("logging to W&B failed (the server went away)") for one in warnings)
    assert wandb.run is None


def test_even_closing_a_run_that_failed_may_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(wandb, "Table", fail)
        broken.setattr(wandb.Run, "finish", fail)
        assert track(settings(), tmp_path, record()) is None
    (warning,) = warnings_of(caplog)
    assert warning.startswith("logging to W&B failed (the server went away)")


def test_a_failure_does_not_mix_up_the_next_run_of_a_sweep(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(wandb, "Table", fail)
        track(settings(), tmp_path / "first", record(name="first"))
    track(settings(), tmp_path / "second", record(name="second"))
    second = read_offline_run(tmp_path / "second")
    assert second.run.display_name == "second"
    assert second.exit_code == 0


@pytest.fixture
def quick(each: Each, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Configure a run of one layer without real figures."""
    draw_dots(monkeypatch)
    layers = LayersConfig(Selection.middle)
    return replace(each.config, output=str(tmp_path / "out"), layers=layers)


def check_whole(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    assert len(manifest["files"]) == 7, "config, overrides, two of measures, hubs, matrix, figure"
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest


def test_a_run_is_finished_and_whole_though_wandb_fails(
    quick: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wandb, "init", fail)
    run = pipeline.run(quick)
    check_whole(run)
    assert [load.name for load in load_topologies(run)] == ["layer_3"]
    assert any("logging to W&B failed" in line for line in warnings_of(caplog))
    assert not any(line.startswith("W&B run:") for line in caplog.messages)
    assert caplog.messages[-1].startswith("topologies, measures and figures: ")


def test_a_run_in_another_working_folder_is_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's background process keeps the folder that it was started in."""
    for name in ("first", "second"):
        (tmp_path / name / "run").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        where = track(settings(), Path("run"), record())
        assert where == str(read_offline_run(Path("run")).folder)


@pytest.mark.processes
def test_another_process_s_wandb_that_is_gone_does_not_matter(tmp_path: Path) -> None:
    """As in a process that a notebook, or SLURM, hands its environment on to."""
    wandb.teardown()  # a test before may have taken the address of W&B's process with it
    track(settings(), tmp_path, record())  # so that there is an address, of a form that W&B knows
    address = re.sub(r"/.*", str(tmp_path / "gone"), os.environ["WANDB_SERVICE"])
    (tmp_path / "other").mkdir()
    program = (
        "from pathlib import Path; from probe.config import Mode, TrackingConfig;"
        "from probe.tracking.writer import write;"
        "tracking = TrackingConfig(mode=Mode.offline);"
        "print(write(tracking, Path('other'), {}, lambda writer: None))"
    )
    started = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=os.environ | {"WANDB_SERVICE": address}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    [file] = tmp_path.glob("other/wandb/offline-run-*/*.wandb")
    assert started.stdout.strip() == str(file.parent.relative_to(tmp_path))


def test_without_wandb_a_run_says_how_to_get_it(
    quick: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    check_whole(pipeline.run(quick))
    assert "W&B is not installed; install wandb or set tracking=none" in warnings_of(caplog)


def test_tracking_none_imports_no_wandb_and_leaves_no_folder(
    quick: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would be warned of
    run = pipeline.run(replace(quick, tracking=TrackingConfig(enabled=False)))
    check_whole(run)
    assert not (run / "wandb").exists()
    assert not any("W&B" in line for line in caplog.messages)


def test_the_console_says_where_the_wandb_run_is(
    quick: Config, caplog: pytest.LogCaptureFixture
) -> None:
    run = pipeline.run(quick)
    assert caplog.messages[-1] == f"W&B run: {read_offline_run(run).folder}"


def test_results_are_found_again_without_telling_wandb_twice(
    quick: Config, started: list[dict[str, Any]]
) -> None:
    pipeline.run(quick)
    assert len(started) == 1
    pipeline.run(quick)
    assert len(started) == 1


def test_a_study_is_told_by_its_figures_tables_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    figure = Figure()
    figure.savefig(tmp_path / "figures" / "curve.png")
    (tmp_path / "effects.csv").write_text("neuron,name,change\n3,a,0.5\n4,,\n")
    facts = {"best": {"r2": 0.25}, "texts": 7, "names": ["not", "a", "number"]}
    config = settings(tags=["mine"])
    where = track_study(config, tmp_path, "intervene", GROUP, facts)
    logged = read_offline_run(tmp_path)
    assert where == str(logged.folder)
    assert logged.run.run_group == GROUP
    assert logged.run.job_type == "intervene"
    assert {"intervene", "mine"} == set(logged.run.tags)
    assert logged.summary["best/r2"] == 0.25
    assert logged.summary["texts"] == 7
    assert "names" not in logged.summary
    assert logged.table("tables/effects") == {
        "columns": ["neuron", "name", "change"], "data": [[3, "a", 0.5], [4, "", None]],
    }  # fmt: skip
    assert "figures/curve" in {key for row in logged.history for key in row}
    assert track_study(settings(enabled=False), tmp_path, "intervene", None, facts) is None
