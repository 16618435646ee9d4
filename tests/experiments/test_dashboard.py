"""The dashboard shows what tracked runs log, is checked without a login and saved with one."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from matplotlib.figure import Figure

from experiments.dashboard.__main__ import main
from experiments.dashboard.logged import Logged, logged_names
from experiments.dashboard.saving import build, make_dashboard
from probe import api
from tests.wandb_reader import read_offline_run

SECTIONS = [
    "Curves by layer",
    "Layers side by side",
    "Heat maps",
    "Histograms",
    "Hubs",
    "Comparison of runs",
]


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take W&B away from this machine's login, settings and network."""
    place = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
            patch.setenv(f"WANDB_{name}", str(place))
        patch.setenv("HOME", str(place))
        patch.setenv("NETRC", str(place / "netrc"))
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        yield
        wandb.teardown()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Track two runs offline: two layers, in two parts each, and a mean over all layers."""
    place = tmp_path_factory.mktemp("runs")
    buffer = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(buffer)
    usual = [
        "data.limit=4", "measures.rewired=1", "average.halves=false", f"output={place}",
        "tracking=wandb", "tracking.mode=offline", "tracking.project=rivers",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # figures' names matter here, not what they show
        patch.setattr(Figure, "savefig", lambda _, file, **__: file.write_bytes(buffer.getvalue()))
        for words in (["layers=[1,3]", "average.parts=2"], ["layers=all"]):
            api.run(*usual, *words)
    (place / "study" / "of" / "another").mkdir(parents=True)
    manifest = {"config": {"tracking": {"enabled": True, "project": "rivers"}}}
    (place / "study" / "of" / "another" / "manifest.json").write_text(json.dumps(manifest))
    return place


@pytest.fixture
def words(output: Path) -> list[str]:
    return [f"output={output}", "tracking.project=rivers", "tracking.entity=team"]


def values(content: Any, key: str) -> list[Any]:
    """Collect what stands under a key, however deep."""
    if isinstance(content, dict):
        own = [content[key]] if key in content else []
        return own + [value for inner in content.values() for value in values(inner, key)]
    if isinstance(content, list):
        return [value for inner in content for value in values(inner, key)]
    return []


def panels_of(workspace: Any) -> list[dict[str, Any]]:
    spec = json.loads(json.dumps(workspace._spec))
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def test_every_panel_shows_what_a_tracked_run_has_logged(output: Path, words: list[str]) -> None:
    runs = [read_offline_run(file.parent) for file in output.glob("tiny/*/*/manifest.json")]
    assert len(runs) == 2
    logged = {key for run in runs for row in run.history for key in row}
    summary = {key for run in runs for key in run.summary}
    workspace, _ = build("team", "rivers", logged_names(api.compose(*words)))
    assert [section.name for section in workspace.sections] == SECTIONS
    panels = panels_of(workspace)
    curves = [panel["config"] for panel in panels if panel["viewType"] == "Run History Line Plot"]
    assert {curve["xAxis"] for curve in curves} == {"layer"}
    drawn = [metric for curve in curves for metric in curve["metrics"]]
    assert set(drawn) == {key for key in logged if key.startswith("layers/")}
    media = [key for panel in panels for key in panel["config"].get("mediaKeys", [])]
    assert set(media) == {key for key in logged if key.startswith("figures/")}
    assert len(drawn) == len(set(drawn))
    assert len(media) == len(set(media))
    bars = [panel["config"] for panel in panels if panel["viewType"] == "Bar Chart"]
    compared = {metric for bar in bars for metric in bar["metrics"]}
    assert "mean_abs_r" in compared
    assert compared <= summary
    tables = [panel for panel in panels if panel["viewType"] == "Weave"]
    assert ["hubs" in values(panel, "val") for panel in tables] == [True]
    assert "hubs" in logged


def test_measures_stand_beside_what_they_must_be_compared_with(words: list[str]) -> None:
    workspace, _ = build("team", "rivers", logged_names(api.compose(*words)))
    curves = {panel.title: panel.y for panel in workspace.sections[0].panels}
    parts = ("part1/", "part2/")
    assert sorted(curves["mean abs r"]) == sorted(
        f"layers/{part}{name}" for part in parts for name in ("mean_abs_r", "chance_abs_r")
    )
    assert sorted(curves["modularity"]) == sorted(
        f"layers/{part}{name}" for part in parts for name in ("modularity", "modularity_null")
    )
    assert "modularity null" not in curves
    several = Logged(1, {f"modularity{x}_at_0.1": [f"layers/m{x}"] for x in ("", "_null")})
    [panel] = build("team", "rivers", several)[0].sections[0].panels
    assert panel.y == ["layers/m", "layers/m_null"]


def test_layers_stand_in_their_order() -> None:
    keys = [f"figures/layer_{layer}/heatmap" for layer in (10, 2, 1)]
    workspace, _ = build("team", "rivers", Logged(1, figures={"heatmap": keys}))
    [heat_maps] = [section for section in workspace.sections if section.name == "Heat maps"]
    assert heat_maps.panels[0].media_keys == keys[::-1]


def test_the_report_has_the_same_panels_each_explained(words: list[str]) -> None:
    workspace, report = build("team", "rivers", logged_names(api.compose(*words)))
    assert (report.entity, report.project, report.title) == ("team", "rivers", "Neural topologies")
    heads = [block.text for block in report.blocks if isinstance(block, wr.H1)]
    grids = [block for block in report.blocks if isinstance(block, wr.PanelGrid)]
    texts = [block.text for block in report.blocks if isinstance(block, wr.P)]
    assert heads == SECTIONS
    assert all(len(text) > 40 for text in texts)
    assert [len(grid.panels) for grid in grids] == [len(s.panels) for s in workspace.sections]
    assert {(runs.entity, runs.project) for grid in grids for runs in grid.runsets} == {
        ("team", "rivers")
    }


def test_without_a_login_it_is_checked_and_nothing_is_saved(
    words: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(ws.Workspace, "save", lambda _: pytest.fail("saved"))
    make_dashboard(api.compose(*words))
    assert "of 6 sections and" in caplog.text
    assert "on 2 runs; their panels and settings are valid" in caplog.text
    assert "not saved: there is no W&B login (wandb login)" in caplog.text


def test_it_can_be_told_to_stay_offline_and_waits_for_no_network(
    words: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(wandb, "login", lambda **_: pytest.fail("asked for a login"))
    make_dashboard(api.compose(*words, "tracking.mode=offline"))
    assert "not saved: W&B is offline by tracking.mode" in caplog.text

    def refuse(**_: object) -> bool:
        raise OSError("no route")

    monkeypatch.setattr(wandb, "login", refuse)
    make_dashboard(api.compose(*words))
    assert "not saved: W&B cannot be reached (no route)" in caplog.text


def test_with_a_login_both_are_saved_and_their_addresses_told(
    words: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    saved = []
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    for kind in (ws.Workspace, wr.Report):
        monkeypatch.setattr(kind, "save", lambda self: saved.append(type(self)))
        monkeypatch.setattr(kind, "url", f"address-of-{kind.__name__}")
    make_dashboard(api.compose(*words))
    assert saved == [ws.Workspace, wr.Report]
    assert "workspace: address-of-Workspace" in caplog.text
    assert "report: address-of-Report" in caplog.text


def test_a_refusal_of_w_and_b_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("no such entity")

    monkeypatch.setattr(ws.Workspace, "save", refuse)
    assert main([*words, "tracking.mode=online"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "probe: W&B did not accept the workspace (no such entity); check the login, "
        "tracking.entity and tracking.project"
    )


def said_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 1
    return capsys.readouterr().err


def test_mistakes_cost_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said_of(words[:2], capsys) == (
        "probe: tracking.entity is missing; give the W&B user or team of the project\n"
    )
    assert said_of([*words, f"output={tmp_path}"], capsys) == (
        f"probe: {tmp_path} has no finished run that was tracked in the project rivers; make one, "
        "or give output= or tracking.project=\n"
    )
    assert "project lakes" in said_of([*words, "tracking.project=lakes"], capsys)
    assert "did you mean 'tracking.entity'" in said_of(["tracking.entitty=x"], capsys)
    assert said_of(["-m"], capsys).startswith("probe: -m has no effect here; give key=value")


def test_a_missing_extra_is_named(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert said_of(words, capsys) == (
        "probe: a dashboard needs wandb-workspaces; install it with pip install '.[dashboard]'\n"
    )


@pytest.mark.processes
def test_help_tells_question_command_and_keys() -> None:
    command = [sys.executable, "-m", "experiments.dashboard", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for word in ("Question:", "python -m experiments.dashboard", "tracking.entity", "offline"):
        assert word in said
