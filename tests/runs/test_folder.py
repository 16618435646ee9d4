"""A run's folder belongs to one process, is filled whole or not at all, and says what it holds."""

import errno
import hashlib
import json
import logging
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from probe import __version__, api, pipeline
from probe.config import (
    AverageConfig,
    Config,
    DensityRule,
    FigureFormat,
    Figures,
    FiguresConfig,
    LayersConfig,
    Mode,
    Selection,
    TrackingConfig,
    from_plain,
    to_plain,
)
from probe.errors import UserError
from probe.extraction.accumulator import Accumulator
from probe.measures import measure
from probe.models.place import ASSETS
from probe.runs import each_matrix, figure_files, provenance
from probe.runs.folder import RunFolder
from probe.runs.manifest import MANIFEST, read_manifest, write_manifest
from probe.verify.run import verify

OVERRIDES = ["model=tiny", "layers=middle"]
ALL = LayersConfig(Selection.all)
KINDS = ("heatmap", "strength")
OF_THE_RUN = "measures_by_layer"
BESIDES = {"manifest.json", "config.yaml", "overrides.yaml", "probe.log"}


def write_text(place: Path, rows: int = 4, what: str = "river") -> Path:
    with place.open("w", encoding="utf-8") as stream:
        for row in range(rows):
            text = f"In year {row} the {what} carried {17 * row} boats of sand to the sea. " * 3
            stream.write(json.dumps({"text": text}) + "\n")
        stream.write(json.dumps({"text": "Too short."}) + "\n")
    return place


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Compose, once because that takes longer than the run, a run over four short texts."""
    place = tmp_path_factory.mktemp("composed")
    return api.compose(*small(write_text(place / "text.jsonl"), place / "out"))


@pytest.fixture
def job(composed: Config, tmp_path: Path) -> Config:
    """Give the same run a text and an output of this test's own."""
    data = replace(composed.data, path=str(write_text(tmp_path / "text.jsonl")))
    return replace(composed, data=data, output=str(tmp_path / "out"))


def small(text: Path, output: Path) -> list[str]:
    return [
        "model=tiny", "data=text", f"data.path={text}", "layers=middle", f"output={output}",
        "tracking=none", "runtime.device=cpu", "measures.rewired=0",
    ]  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put empty figures in the place of those that take a while to draw."""
    draw_nothing(monkeypatch)


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    empty = Figure(figsize=(0.1, 0.1))
    patch.setattr(figure_files, "wanted", kinds_of)
    patch.setattr(figure_files, "figures", lambda _, __, kinds, ___: dict.fromkeys(kinds, empty))
    patch.setattr(figure_files, "run_figures", lambda _, kinds, __: dict.fromkeys(kinds, empty))


def kinds_of(draw: Figures, measured: Any) -> dict[str | None, list[str]]:
    each = {topology.name: list(KINDS) for topology, _ in measured}
    found: dict[Figures, dict[str | None, list[str]]] = {
        Figures.none: {}, Figures.summary: {None: [OF_THE_RUN]},
    }  # fmt: skip
    return found.get(draw, {**each, None: [OF_THE_RUN]})


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def manifest_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / MANIFEST).read_text()))


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("the machine went away")


@pytest.fixture(scope="module")
def finished(composed: Config) -> tuple[Path, Config]:
    """Do a run with its real figures in a program that set up no logging."""
    return pipeline.run(composed, OVERRIDES), composed


# What is in the folder.


def test_a_run_is_named_by_what_it_computes(finished: tuple[Path, Config]) -> None:
    run, config = finished
    assert run == RunFolder(config).path
    output = Path(config.output)
    assert re.fullmatch(r"tiny/text/middle-mean-[0-9a-f]{8}", str(run.relative_to(output)))


def test_a_manifest_is_sealed_as_it_is_read(tmp_path: Path) -> None:
    """Whose keys are words: as numbers they have another order."""
    write_manifest(tmp_path, {"hubs": {100: "a", 20: "b"}})
    assert read_manifest(tmp_path)["hubs"] == {"100": "a", "20": "b"}


def test_the_manifest_says_what_was_done_of_what(finished: tuple[Path, Config]) -> None:
    run, config = finished
    manifest = manifest_of(run)
    assert manifest["format"] == 2
    assert manifest["probe"] == __version__
    assert manifest["config"] == to_plain(config)
    assert manifest["examples"] == 4
    assert manifest["skipped"] == {"fewer than 16 tokens": 1}
    assert manifest["ranks"] == 1
    assert manifest["layers"] == [3]
    assert 0 < manifest["seconds"] < 600
    assert set(manifest["fingerprints"]) == {"model", "data", "tokens"}
    assert re.fullmatch(r"sha256 [0-9a-f]{64}", manifest["fingerprints"]["model"])
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["fingerprints"]["data"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", manifest["finished"])
    for package in ("torch", "transformers", "numpy", "wandb"):
        assert manifest["versions"][package] == version(package)
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_manifest_counts_the_tokens_that_were_correlated(
    finished: tuple[Path, Config],
) -> None:
    from transformers import AutoTokenizer

    run, config = finished
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tiny")
    rows = Path(config.data.path or "").read_text().splitlines()
    lengths = [len(tokenizer(json.loads(row)["text"])["input_ids"]) for row in rows]
    assert manifest_of(run)["tokens"] == sum(n for n in lengths if n >= 16)


def test_the_manifest_holds_the_hash_of_every_result(finished: tuple[Path, Config]) -> None:
    run, _ = finished
    files = manifest_of(run)["files"]
    assert set(files) == set(snapshot(run)) - {"manifest.json", "probe.log"}
    for name, said in files.items():
        assert said == hashlib.sha256((run / name).read_bytes()).hexdigest(), name


def test_the_manifest_describes_every_topology(finished: tuple[Path, Config]) -> None:
    run, _ = finished
    (record,) = manifest_of(run)["topologies"]
    known = record.pop("reliability")
    assert known["tokens"] == manifest_of(run)["tokens"]
    assert 0 < known["split_half"] < 1
    assert len(known["halves"]) == 2
    assert known["null"] is None
    assert 0 < known["strongest_share"] < 0.5
    assert (known["dropped"], known["left_out"]) == ({}, {})
    assert record == {
        "name": "layer_3", "kind": "layer", "layers": [3], "scheme": "mean", "weight": "example",
        "part": 1, "parts": 1, "examples": 4, "undefined": [], "site": "residual",
        "correlation": "pearson", "without_sinks": False,
        "model": "tiny", "data": "text", "subject": None, "init": "pretrained",
        "file": "topology/layer_3_avg_corr.npy", "standard_error_file": None,
    }  # fmt: skip


def test_the_configuration_is_kept_as_composed_and_as_given(
    finished: tuple[Path, Config],
) -> None:
    run, config = finished
    plain = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    assert isinstance(plain, dict)
    assert from_plain(plain) == config
    assert OmegaConf.to_container(OmegaConf.load(run / "overrides.yaml")) == OVERRIDES


def test_the_log_tells_the_run_even_where_nobody_set_up_logging(
    finished: tuple[Path, Config],
) -> None:
    run, _ = finished
    log = (run / "probe.log").read_text()
    assert "tiny on text: 4 examples" in log
    assert "mean |r|" in log
    assert f"topologies, measures and figures: {run}" in log


@pytest.mark.usefixtures("quick")
def test_the_log_is_let_go_when_the_run_ends(job: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(logging.getLogger().handlers)
    run = pipeline.run(job)
    assert logging.getLogger().handlers == before
    monkeypatch.setattr(Accumulator, "consume", fail)
    with pytest.raises(RuntimeError):
        pipeline.run(replace(job, overwrite=True))
    assert logging.getLogger().handlers == before
    logging.getLogger("probe").error("said after the run")
    assert "said after" not in (run / "probe.log").read_text()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("layers", "average", "names"),
    [
        (ALL, AverageConfig(), ["all_layers"]),
        (LayersConfig(Selection.each), AverageConfig(), [f"layer_{n}" for n in range(6)]),
        (LayersConfig(Selection.single, [4, 1]), AverageConfig(), ["layer_1", "layer_4"]),
        (ALL, AverageConfig(parts=3), [f"all_layers_part{part}" for part in (1, 2, 3)]),
        (LayersConfig(Selection.single, 0), AverageConfig(example=2), ["layer_0"]),
        (
            LayersConfig(Selection.middle),
            AverageConfig(std=True, parts=2),
            ["layer_3_part1", "layer_3_part2"],
        ),
    ],
    ids=["all", "each", "single layers", "partitioned", "single example", "std"],
)
def test_the_files_are_exactly_those_that_were_asked_for(
    job: Config, layers: LayersConfig, average: AverageConfig, names: list[str]
) -> None:
    run = pipeline.run(replace(job, layers=layers, average=average))
    wanted = set(BESIDES) | {
        "hubs.json", "measures.json", "measures_by_layer.csv", f"figures/{OF_THE_RUN}.png",
    }  # fmt: skip
    for name in names:
        group, _, part = name.partition("_part")
        end = f"_part{part}.npy" if part else ".npy"
        wanted |= {f"topology/{group}_avg_corr{end}"}
        wanted |= {f"topology/{group}_avg_corr_stderr{end}"} if average.std else set()
        wanted |= {f"figures/{name}_{kind}.png" for kind in KINDS}
    assert set(snapshot(run)) == wanted
    assert [topology.name for topology in api.load_topologies(run)] == names


# Done before.


@pytest.mark.usefixtures("quick")
def test_figures_that_a_finished_run_lacks_are_drawn_by_the_same_command(
    job: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = pipeline.run(replace(job, figures=FiguresConfig(Figures.none)))
    assert not (run / "figures").exists()
    monkeypatch.setattr(pipeline, "extract_topologies", fail)
    monkeypatch.setattr(each_matrix, "measure", fail)
    caplog.set_level(logging.INFO, logger="probe")
    before = snapshot(run)
    expected = {f"figures/{OF_THE_RUN}.png"}
    for draw, form in (
        (Figures.summary, FigureFormat.png), (Figures.auto, FigureFormat.png),
        (Figures.all, FigureFormat.png), (Figures.all, FigureFormat.svg),
        (Figures.none, FigureFormat.svg),
    ):  # fmt: skip
        caplog.clear()
        assert pipeline.run(replace(job, figures=FiguresConfig(draw, form))) == run
        if draw is Figures.auto:
            expected |= {f"figures/layer_3_{kind}.png" for kind in KINDS}
        if form is FigureFormat.svg:
            expected |= {str(Path(name).with_suffix(".svg")) for name in expected}
        now = snapshot(run)
        assert now.keys() - before.keys() == expected, "none are taken away"
        assert {name: now[name] for name in before if name != MANIFEST} == {
            name: content for name, content in before.items() if name != MANIFEST
        }
        drawn = [line for line in caplog.messages if "more figure" in line]
        assert len(drawn) == (draw is not Figures.none and (draw, form) != (Figures.all, "png"))
        assert not verify(run).faults
    assert set(manifest_of(run)["files"]) == set(snapshot(run)) - {MANIFEST, "probe.log"}
    (run / "figures" / "layer_3_heatmap.png").unlink()
    assert verify(run).faults
    pipeline.run(job)
    assert not verify(run).faults, "one that was removed is drawn again"


@pytest.mark.usefixtures("quick")
def test_figures_that_a_finished_run_has_otherwise_are_drawn_again(
    job: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = FiguresConfig(Figures.all)
    run = pipeline.run(replace(job, figures=usual))
    monkeypatch.setattr(pipeline, "extract_topologies", fail)
    monkeypatch.setattr(each_matrix, "measure", fail)
    caplog.set_level(logging.INFO, logger="probe")

    def drawn(**keys: Any) -> int:
        """Count the figures that the same command with these keys draws."""
        caplog.clear()
        assert pipeline.run(replace(job, figures=replace(usual, **keys))) == run
        assert not verify(run).faults
        told = [
            line.split()[0] for line in caplog.messages if line.endswith(f": {run / 'figures'}")
        ]
        return int(told[0]) if told else 0

    before = snapshot(run)
    everything = len(list((run / "figures").iterdir()))
    assert drawn() == 0
    assert drawn(dpi=80) == everything
    now = snapshot(run)
    assert now.keys() == before.keys()
    look = {"dpi": 80, "max_r": None}
    assert manifest_of(run)["figures"] == {name: look for name in now if "figures/" in name}
    assert drawn(dpi=80) == 0
    assert drawn(dpi=80, max_r=0.3) == 1
    redrawn = [name for name, look in manifest_of(run)["figures"].items() if look["max_r"]]
    assert redrawn == ["figures/layer_3_heatmap.png"], "no other figure has these colours"
    assert drawn(dpi=80, max_r=0.3, draw=Figures.none) == 0
    assert drawn(max_r=0.3, draw=Figures.summary) == 1, "only those that are asked for"
    assert drawn() == everything - 1, "of the others it is known that they look otherwise"
    assert drawn() == 0


@pytest.mark.usefixtures("quick")
def test_a_finished_run_that_cannot_be_written_is_shown_without_more_figures(
    job: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = pipeline.run(replace(job, figures=FiguresConfig(Figures.none)))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(figure_files, "save_figure", refuse)
    assert pipeline.run(job) == run
    assert caplog.messages[-1] == (
        "figures cannot be written (Permission denied); the results are complete"
    )


def test_a_finished_run_is_found_again(
    finished: tuple[Path, Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, config = finished
    before = snapshot(run)
    monkeypatch.setattr(pipeline, "plan_extraction", fail)
    caplog.set_level(logging.INFO, logger="probe")
    assert pipeline.run(config) == run
    assert snapshot(run) == before
    assert f"{run} is already finished; overwrite=true runs it again" in caplog.messages
    assert any(line.startswith("layer_3 ") for line in caplog.messages), "the table is shown again"


def test_what_the_matrices_do_not_depend_on_finds_the_same_run(
    finished: tuple[Path, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = finished
    monkeypatch.setattr(pipeline, "plan_extraction", fail)
    other = TrackingConfig(enabled=True, mode=Mode.online, project="other")
    runtime = replace(config.runtime, device="cuda:7")
    assert pipeline.run(replace(config, tracking=other, runtime=runtime)) == run


@pytest.fixture
def again(finished: tuple[Path, Config], tmp_path: Path) -> Config:
    """Copy the finished run to an output of this test's own."""
    run, config = finished
    output = tmp_path / "again"
    shutil.copytree(run, output / run.relative_to(config.output))
    return replace(config, output=str(output))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "other",
    [
        {"density": 0.3},
        {"density": [0.1, 0.3]},
        {"density_rule": DensityRule.paper},
        {"rewired": 1},
        {"hubs": 3},
        {"seed": 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_measures_are_taken_of_the_same_matrices(
    again: Config, other: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    run = RunFolder(again).path
    before, facts = snapshot(run), manifest_of(run)
    monkeypatch.setattr(pipeline, "plan_extraction", fail)
    caplog.set_level(logging.INFO, logger="probe")
    asked = replace(again, measures=replace(again.measures, **other))
    assert pipeline.run(asked, ["measures"]) == run
    said = f"{run} is already finished; its measures and figures are redone"
    assert said in caplog.messages
    after, now = snapshot(run), manifest_of(run)
    (matrix,) = [name for name in before if name.endswith(".npy")]
    assert after[matrix] == before[matrix]
    assert facts["files"][matrix] == now["files"][matrix]
    kept = json.loads(after["measures.json"])
    expected = {t.name: asdict(measure(t, asked.measures)) for t in api.load_topologies(run)}
    assert kept == json.loads(json.dumps(expected))
    assert (now["config"], now["topologies"]) == (to_plain(asked), facts["topologies"])
    redone = {"config", "finished", "files", "sha256"}
    assert {k: v for k, v in now.items() if k not in redone} == {
        k: v for k, v in facts.items() if k not in redone
    }
    assert (run / "overrides.yaml").read_text() == "- measures\n"
    log = after["probe.log"].decode()
    assert log.startswith(before["probe.log"].decode()), "the extraction's story is kept"
    assert log.count("topologies, measures and figures: ") == 2


@pytest.mark.usefixtures("quick")
def test_measures_that_were_redone_are_not_redone_again(
    again: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = replace(again, measures=replace(again.measures, density=0.3))
    run = pipeline.run(asked)
    before = snapshot(run)
    monkeypatch.setattr(pipeline, "write", fail)
    caplog.set_level(logging.INFO, logger="probe")
    assert pipeline.run(asked) == run
    assert snapshot(run) == before
    assert f"{run} is already finished; overwrite=true runs it again" in caplog.messages


@pytest.mark.usefixtures("quick")
def test_measures_that_fail_leave_the_old_ones(
    again: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(again).path
    before = snapshot(run)
    monkeypatch.setattr(each_matrix, "measure", fail)
    with pytest.raises(RuntimeError, match="went away"):
        pipeline.run(replace(again, measures=replace(again.measures, density=0.3)))
    assert snapshot(run) == before


@pytest.mark.usefixtures("quick")
def test_measures_of_an_earlier_definition_are_redone_by_the_same_command(
    again: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(again).path
    manifest = manifest_of(run)
    assert manifest.pop("measures_definition") == 3
    measures = run / "measures.json"
    now = measures.read_text()
    older = json.loads(now)
    for topology in older.values():
        topology["graphs"][0]["modularity"] = -0.5
    measures.write_text(json.dumps(older))
    manifest["files"]["measures.json"] = hashlib.sha256(measures.read_bytes()).hexdigest()
    write_manifest(run, {name: value for name, value in manifest.items() if name != "sha256"})
    assert not verify(run).faults, "an older definition is no fault"
    monkeypatch.setattr(pipeline, "extract_topologies", fail)
    caplog.set_level(logging.INFO, logger="probe")
    pipeline.run(again)
    assert "redone, as communities and rewired graphs are defined otherwise now" in caplog.text
    assert measures.read_text() == now
    assert manifest_of(run)["measures_definition"] == 3
    caplog.clear()
    pipeline.run(again)
    assert "redone" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_measures_that_are_redone_keep_what_a_user_has_put_there(
    again: Config, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(again).path
    (run / "notes").mkdir()
    (run / "notes" / "mine.txt").write_text("mine")
    (run / "report.html").write_text("of the old measures")
    caplog.set_level(logging.INFO, logger="probe")
    pipeline.run(replace(again, measures=replace(again.measures, density=0.3)))
    assert (run / "notes" / "mine.txt").read_text() == "mine"
    assert not (run / "report.html").exists()
    assert "the old report.html is gone; python -m probe.report makes a new one" in caplog.messages
    assert "notes/mine.txt" not in manifest_of(run)["files"]


def test_a_mistake_before_any_result_leaves_no_folder(job: Config) -> None:
    mistaken = replace(job, data=replace(job.data, offset=10**6))
    with pytest.raises(UserError, match="no example is left"):
        pipeline.run(mistaken)
    assert not RunFolder(mistaken).work.exists()


def test_to_do_it_again_does_not_mean_to_replace_it(job: Config) -> None:
    run = pipeline.run(replace(job, overwrite=True), ["data.limit=2", "overwrite=true"])
    assert (run / "overrides.yaml").read_text() == "- data.limit=2\n"


@pytest.mark.usefixtures("quick")
def test_a_run_of_the_first_format_is_read_and_measured_again(
    again: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest knew neither measures' options nor a matrix's reliability."""
    run = RunFolder(again).path
    old = manifest_of(run) | {"format": 1}
    del old["sha256"], old["config"]["measures"], old["topologies"][0]["reliability"]
    (run / MANIFEST).write_text(json.dumps(old))
    monkeypatch.setattr(pipeline, "plan_extraction", fail)
    assert pipeline.run(again) == run
    assert manifest_of(run)["format"] == 2
    assert manifest_of(run)["examples"] == old["examples"]
    assert api.load_topology(run).reliability is None


def test_other_data_is_noticed_and_nothing_touched(finished: tuple[Path, Config]) -> None:
    run, config = finished
    text = Path(config.data.path or "")
    old, before = text.read_bytes(), snapshot(run)
    write_text(text, what="canal")
    try:
        with pytest.raises(UserError, match=r"with another data \(.*overwrite=true") as caught:
            pipeline.run(config)
    finally:
        text.write_bytes(old)
    assert str(run) in str(caught.value)
    assert "another model" not in str(caught.value)
    assert snapshot(run) == before


@pytest.mark.usefixtures("quick")
def test_another_model_is_noticed_and_nothing_touched(job: Config, tmp_path: Path) -> None:
    model = shutil.copytree(ASSETS / "tiny", tmp_path / "model")
    job = replace(job, model=replace(job.model, path=str(model)))
    run = pipeline.run(job)
    before = snapshot(run)
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"with another model \(sha256 .* then, sha256 .* now\)"):
        pipeline.run(job)
    assert snapshot(run) == before


@pytest.mark.usefixtures("quick")
def test_overwrite_does_it_again(job: Config, tmp_path: Path) -> None:
    run = pipeline.run(job)
    before, old = manifest_of(run), api.load_topology(run)
    write_text(tmp_path / "text.jsonl", rows=3, what="canal")
    assert pipeline.run(replace(job, overwrite=True)) == run
    after = manifest_of(run)
    assert after["examples"] == 3
    assert after["fingerprints"]["data"] != before["fingerprints"]["data"]
    assert after["fingerprints"]["model"] == before["fingerprints"]["model"]
    assert not np.array_equal(api.load_topology(run).matrix, old.matrix)
    assert pipeline.run(job) == run, "the new run is the finished one now"


# Not finished.


@pytest.fixture(params=["reading the model", "drawing"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let a run fail, early or when its matrices are written; `undo()` mends it."""
    if request.param == "drawing":
        monkeypatch.setattr(figure_files, "figures", fail)
    else:
        monkeypatch.setattr(Accumulator, "consume", fail)
    return monkeypatch


def test_a_run_that_stops_half_way_is_not_finished_and_is_done_later(
    job: Config, broken: pytest.MonkeyPatch
) -> None:
    run = RunFolder(job).path
    with pytest.raises(RuntimeError, match="went away"):
        pipeline.run(job)
    assert not list(Path(job.output).rglob(MANIFEST))
    with pytest.raises(UserError, match="not a finished run"):
        api.load_topologies(run)
    broken.undo()
    draw_nothing(broken)
    assert pipeline.run(job) == run
    assert api.load_topology(run).examples == 4


def test_the_log_of_a_run_that_fails_is_kept(job: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accumulator, "consume", fail)
    with pytest.raises(RuntimeError):
        pipeline.run(job)
    (log,) = Path(job.output).rglob("probe.log")
    assert "tiny on text: 4 examples" in log.read_text()


@pytest.fixture
def done(job: Config) -> Path:
    """Finish the run, before `broken` breaks the next one."""
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        return pipeline.run(job)


def test_finished_results_outlive_an_overwrite_that_fails(
    job: Config, done: Path, broken: pytest.MonkeyPatch
) -> None:
    before = snapshot(done)
    other = TrackingConfig(enabled=False, project="other")
    with pytest.raises(RuntimeError):
        pipeline.run(replace(job, overwrite=True, tracking=other), ["overwrite=true"])
    assert snapshot(done) == before
    draw_nothing(broken)
    broken.setattr(pipeline, "plan_extraction", fail)
    assert pipeline.run(job) == done, "it is still a finished run"


@pytest.mark.usefixtures("quick")
def test_a_run_that_is_put_in_its_place_leaves_nothing_beside_it(
    job: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Accumulator, "consume", fail)
        with pytest.raises(RuntimeError):
            pipeline.run(job)
    run = pipeline.run(job)
    assert list(run.parent.iterdir()) == [run]
    (run / "stale.txt").write_text("of an older version of probe")
    pipeline.run(replace(job, overwrite=True))
    assert list(run.parent.iterdir()) == [run]
    assert not (run / "stale.txt").exists()


# Two processes.


def test_a_run_that_another_process_is_at_is_refused(tmp_path: Path, job: Config) -> None:
    folder = RunFolder(job)
    lock = tmp_path / "out" / ".locks" / f"{folder.path.name}.lock"
    lock.parent.mkdir(parents=True)
    program = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"is being written by another process") as caught:
            pipeline.run(job)
        assert str(folder.path) in str(caught.value)
        assert not folder.path.exists()
        other.communicate("")
    with folder.locked():
        pass


def test_the_lock_is_held_during_the_run_and_free_after_a_failure(
    job: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(job)

    def look(*_: object, **__: object) -> None:
        with pytest.raises(UserError, match="another process"), folder.locked():
            pass
        fail()

    monkeypatch.setattr(pipeline, "plan_extraction", look)
    with pytest.raises(RuntimeError, match="went away"):
        pipeline.run(job)
    with folder.locked():
        pass


@pytest.mark.usefixtures("quick")
def test_another_run_is_not_kept_waiting(job: Config) -> None:
    with RunFolder(job).locked():
        assert pipeline.run(replace(job, layers=LayersConfig(Selection.single, 0))).is_dir()


# No place to write.


def test_an_output_that_is_a_file_is_one_line(job: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"cannot be written .*output=") as caught:
            pipeline.run(replace(job, output=str(place)))
        assert f"output={place}" in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_file_in_the_place_of_a_run_is_one_line(job: Config) -> None:
    model = RunFolder(job).path.parent.parent
    model.parent.mkdir()
    model.write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        pipeline.run(job)


# Which program made it.


def git(folder: Path, *command: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *settings, *command],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def test_a_clone_tells_its_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "clone" / "conf"
    conf.mkdir(parents=True)
    monkeypatch.setattr(provenance, "CONF", conf)
    (conf / "config.yaml").write_text("a: 1")
    git(conf.parent, "init", "-q")
    git(conf.parent, "add", ".")
    git(conf.parent, "commit", "-qm", "one")
    commit = git(conf.parent, "rev-parse", "HEAD")
    assert provenance.git_commit() == commit
    (conf / "config.yaml").write_text("a: 2")
    assert provenance.git_commit() == commit + "+"


def test_an_installed_program_tells_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither outside of any repository, nor in the repository of somebody else's project."""
    site = tmp_path / "venv" / "probe" / "conf"
    site.mkdir(parents=True)
    monkeypatch.setattr(provenance, "CONF", site)
    assert provenance.git_commit() is None
    (tmp_path / "paper.tex").write_text("a")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "paper.tex")
    git(tmp_path, "commit", "-qm", "one")
    assert provenance.git_commit() is None
