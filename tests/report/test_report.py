"""The page holds what the files say, escaped, by itself, and asks nobody for anything."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from probe import api
from probe.errors import UserError
from probe.report import page, write_report
from probe.report.__main__ import main
from probe.report.glossary import FIGURES, GROUPS, MEASURES
from probe.report.reading import read
from probe.report.records import TopologySummary
from probe.report.tables import format_number, headlines, run_tables
from probe.topology.reliability import Null, Reliability
from tests.topologies import random_correlations, topology_of

EVIL = "<script>alert('1')</script>\"&"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page as a reader of HTML sees it; tags that are not closed in turn are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: list[list[list[tuple[str, dict[str, str | None]]]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append(("", dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data
        if {"td", "th"} & set(self._open):
            text, attributes = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = (text + data.strip(), attributes)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def png(size: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(b"\0" * (size + 1) * size)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NULL = Null(2, 0.021, 0.001, {"0.5": 0.01, "0.95": 0.05, "0.99": 0.06, "0.999": 0.07}, [0] * 200)
HALVES = [{"mean_abs_r": 0.125, "strength_gini": 0.75}, {"mean_abs_r": 0.375, "mean_r": 0.0625}]
KNOWN = Reliability(900, 0.004, 0.8, HALVES, {"0": 0.625, "1": 0.875}, NULL)


def make_run(folder: Path, layers: int = 3, data: str = "words", **facts: Any) -> Path:
    """Make a run's folder by hand: layer 1 has no clustering, layer 0 a noise that is known."""
    topologies = [
        topology_of(
            random_correlations(8, seed=layer), name=f"layer_{layer}", layers=(layer,), data=data,
            reliability=KNOWN if layer == 0 else None, undefined=(5, 7) if layer == 2 else (),
        )
        for layer in range(layers)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    rows, summaries = [], {}
    for layer, topology in enumerate(topologies):
        rows.append({
            "topology": topology.name, "layer": layer, "part": 1,
            "mean_abs_r": 0.1 + layer, "share_above_0.3": 0.25, "strength_gini": 0.5,
            "chance_abs_r": 0.0504626 if layer == 0 else None,
            "clustering_at_0.05": None if layer == 1 else 1 / 3, "brand_new": 12345.6,
        })  # fmt: skip
        summaries[topology.name] = {
            "hubs": [[layer + 4, 2.5], [1, 1.25]],
            "skipped": {"clustering": "too many neurons"} if layer == 1 else {},
        }
        for kind in ("heatmap", "curl"):
            (folder / "figures").mkdir(exist_ok=True)
            (folder / "figures" / f"{topology.name}_{kind}.png").write_bytes(png(layer + 1))
    if layers > 1:
        (folder / "figures" / "measures_by_layer.png").write_bytes(png(9))
    with (folder / "measures_by_layer.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "measures.json").write_text(json.dumps(summaries))
    hub = {
        "neuron": 6, "strength": 2.5, "partners": [{"neuron": 3, "r": -0.25}],
        "tokens": [{
            "token": " <b>", "before": "the secret", "after": "told", "document": "story/3",
            "position": 12, "layer": 2, "value": -7.5,
        }],
        "promotes": [" sea"], "suppresses": [" land"],
    }  # fmt: skip
    (folder / "hubs.json").write_text(json.dumps({"layer_2": [hub]}))
    (folder / "overrides.yaml").write_text(json.dumps(["layers=each", f"data.name={data}"]))
    manifest = {
        "format": 1, "finished": "2026-11-20T21:54:59+0000", "examples": 12, "tokens": 8746,
        "seconds": 3.5, "skipped": {"too short": 2}, "git": "abc+", "versions": {"numpy": "2.4.6"},
        "config": {"data": {"name": data, "limit": None}, "layers": {"index": [0, 1]}},
        "files": {"measures.json": "ab12" * 16},
        "topologies": [topology.record() for topology in topologies],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest | facts))
    return folder


def make_sweep(folder: Path, run: Path) -> Path:
    folder.mkdir(parents=True)
    jobs = [
        {"overrides": ["layers=each", "init=random"], "run": str(run), "error": None},
        {"overrides": ["layers=99", "init=random"], "run": None, "error": f"no layer {EVIL}"},
        {"overrides": ["layers=3", "init=random"], "run": "gone", "error": None},
    ]
    (folder / "summary.json").write_text(json.dumps({"jobs": jobs, "varied": ["layers"]}))
    (folder / "summary.png").write_bytes(png(5))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "out" / "run")


@pytest.fixture
def sweep(run: Path) -> Path:
    return make_sweep(run.parent / ".sweeps" / "now", run)


def read_page(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


# What a page may not do.


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_the_page_asks_the_network_for_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    text = write_report(request.getfixturevalue(kind)).read_text(encoding="utf-8")
    found = Page(text)
    assert not {"link", "iframe", "object", "base", "form"} & {tag for tag, _ in found.tags}
    for _, attributes in found.tags:
        assert not attributes.keys() & {"srcset", "style", "onclick", "onload", "onerror"}
        assert (attributes.get("src") or "data:image/png;").startswith("data:image/png;")
        assert (attributes.get("href") or "#").startswith("#")
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_the_policy_allows_this_style_and_this_script_and_nothing_else(
    kind: str, request: pytest.FixtureRequest
) -> None:
    text = write_report(request.getfixturevalue(kind)).read_text(encoding="utf-8")
    [policy] = [
        attributes["content"] or ""
        for attributes in Page(text).all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == [f"'sha256-{digest}'"]


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_whatever_the_files_say_is_text(kind: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", data=EVIL, git=EVIL, files={EVIL: EVIL}, **{EVIL: EVIL})
    measures = json.loads((folder / "measures.json").read_text())
    measures["layer_1"]["skipped"] = {EVIL: EVIL}
    (folder / "measures.json").write_text(json.dumps(measures))
    table = folder / "measures_by_layer.csv"
    table.write_text(table.read_text().replace("brand_new", "<b>new</b>"))
    (folder / "figures" / "<i>x.png").write_bytes(png())
    found = read_page(folder if kind == "run" else make_sweep(tmp_path / "sweep", folder))
    assert len(found.all("script")) == 1
    assert not found.all("b")
    assert not found.all("i")
    assert "alert" not in found.texts["script"][0]
    shown_somewhere = "".join(text for texts in found.texts.values() for text in texts)
    assert EVIL in shown_somewhere
    assert "<b>new</b>" in shown_somewhere


# What a page holds.


def test_the_page_begins_with_title_and_command(run: Path) -> None:
    found = read_page(run)
    assert found.texts["h1"] == found.texts["title"] == ["tiny on words: 3 topologies"]
    assert found.texts["pre"] == ["python -m probe layers=each data.name=words"]
    assert found.all("html") == [{"lang": "en"}]


def test_links_lead_to_places_on_the_page(run: Path, sweep: Path) -> None:
    for folder in (run, sweep):
        found = read_page(folder)
        places = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
        assert len(places) == len(set(places))
        links = [attributes["href"] for attributes in found.all("a")]
        assert len(links) > 4
        assert {link.removeprefix("#") for link in links if link} <= set(places)


def test_every_figure_is_inside_and_described(run: Path) -> None:
    found = read_page(run)
    images = found.all("img")
    embedded = [base64.b64decode((image["src"] or "").partition(",")[2]) for image in images]
    assert sorted(embedded) == sorted(file.read_bytes() for file in run.glob("figures/*.png"))
    described = [image["alt"] for image in images]
    assert described[0] == f"measures by layer of the run. {FIGURES['measures_by_layer']}"
    assert f"heatmap of layer_0. {FIGURES['heatmap']}" in described
    assert "curl of layer_2. " in described


def test_a_figure_belongs_to_its_topology_and_layer_10_is_no_layer_1(tmp_path: Path) -> None:
    found = read(make_run(tmp_path / "run", layers=11))
    for topology in found.topologies:  # type: ignore[union-attr]
        names = [file.name for file in topology.figures]
        assert names == [f"{topology.name}_curl.png", f"{topology.name}_heatmap.png"]
    assert [file.name for file in found.figures] == ["measures_by_layer.png"]


def test_figures_beyond_the_room_are_named(run: Path) -> None:
    sizes = [file.stat().st_size for file in run.glob("figures/*.png")]
    found = Page(page.render(read(run), room=sum(sizes) - 1))
    assert len(found.all("img")) == len(sizes) - 1
    assert found.texts["p"].count("Left out to limit the size of the page: "
                                  "layer_2_heatmap.png") == 1  # fmt: skip


def test_figures_have_fewer_colours_only_where_there_is_no_room(run: Path) -> None:
    noise = np.random.default_rng(0).normal(128, 5, (90, 90, 3)).astype(np.uint8)
    file = run / "figures" / "noise.png"
    Image.fromarray(noise).save(file)
    sizes = [figure.stat().st_size for figure in run.glob("figures/*.png")]
    for room, exact in ((sum(sizes), True), (sum(sizes) - 1, False)):
        found = Page(page.render(read(run), room=room))
        assert len(found.all("img")) == len(sizes)
        assert any("reduced to 256 colours" in text for text in found.texts["p"]) is not exact
        [source] = [
            a["src"] or "" for a in found.all("img") if (a["alt"] or "").startswith("noise")
        ]
        content = base64.b64decode(source.partition(",")[2])
        assert (content == file.read_bytes()) is exact
        with Image.open(io.BytesIO(content)) as image:
            colours = image.convert("RGB").getcolors(maxcolors=90 * 90)
            seen = np.asarray(image.convert("RGB")).astype(int)
        assert (len(colours or []) > 256) is exact
        assert np.abs(seen - noise).mean() < (1e-9 if exact else 3)


def test_tables_have_heads_with_scopes_and_hold_exact_numbers(run: Path, sweep: Path) -> None:
    for folder in (run, sweep):
        found = read_page(folder)
        for table in found.tables:
            assert all(attributes["scope"] == "col" for _, attributes in table[0])
            assert len({len(row) for row in table}) == 1
            for row in table[1:]:
                assert sum(attributes.get("scope") == "row" for _, attributes in row) == 1
    correlation, _, graph, other = read_page(run).tables[:4]
    assert graph[0][1][0] == "clustering at 0.05"
    assert [text for text, _ in correlation[0]] == [
        "topology", "mean |r|", "chance level", "null |r| quantile 0.5", "null |r| quantile 0.95",
        "null |r| quantile 0.99", "null |r| quantile 0.999", "reliability", "pairs, |r| > 0.3",
    ]  # fmt: skip
    assert [text for text, _ in correlation[1]][:4] == ["layer_0", "0.1", "0.05046", "0.01"]
    assert [text for text, _ in correlation[2]][:4] == ["layer_1", "1.1", "–", "–"]
    assert correlation[1][2][1] == {"class": "number", "data-value": "0.0504626"}
    assert correlation[2][2][1] == {"class": "number", "data-value": ""}
    assert [attributes.get("data-value") for _, attributes in graph[1]] == ["layer_0", str(1 / 3)]
    assert [[text for text, _ in row] for row in other[:2]] == [
        ["topology", "brand new"], ["layer_0", "12,346"],
    ]  # fmt: skip


def test_the_summary_stands_beside_chance_and_tells_the_range(run: Path) -> None:
    found = {
        measure.label: values
        for measure, values in headlines(read(run).topologies)  # type: ignore[union-attr]
    }
    assert list(found) == ["mean |r|", "chance level", "reliability", "Gini of strength"]
    assert found["reliability"] == [("the same in all:", "0.8889")]  # 2 · 0.8 / (1 + 0.8)
    assert found["mean |r|"] == [
        ("lowest, layer_0:", "0.1"), ("median:", "1.1"), ("highest, layer_2:", "2.1"),
    ]  # fmt: skip
    page_found = read_page(run)
    for measure in MEASURES.values():
        if measure.label in found:
            assert measure.label in page_found.texts["dt"]
            assert measure.help in page_found.texts["dd"]


def test_a_single_topology_has_values_and_no_range() -> None:
    alone = TopologySummary(
        "all_layers", {"mean_abs_r": 0.5, "mean_r2": 0.1}, [], {}, [], [], {}, []
    )
    assert [values for _, values in headlines([alone])] == [[("", "0.5")]]
    twin = replace(alone, name="layer_0")
    assert headlines([alone, twin])[0][1] == [("the same in all:", "0.5")]
    nothing = replace(alone, numbers={"mean_abs_r": float("nan"), "chance_abs_r": None})
    assert headlines([nothing]) == []


def test_hubs_are_described_without_the_words_around_their_tokens(run: Path) -> None:
    found = read_page(run)
    cells = [[text for text, _ in row] for table in found.tables for row in table]
    [hub] = [row for row in cells if "3 (-0.25)" in row]
    assert hub[3:] == [
        "3 (-0.25)", "' <b>'(story/3, token 12: -7.5)", "+' sea'−' land'",
    ]  # fmt: skip
    assert "the secret" not in " ".join(found.texts["body"])


def test_hubs_what_was_left_out_and_where_it_comes_from_are_there(run: Path) -> None:
    found = read_page(run)
    text = " ".join(found.texts["body"])
    assert "layer_2: 6, 1" in found.texts["summary"]
    assert "too many neurons" in text
    assert "2 neurons are constant and left out: 5, 7" in text
    cells = [[text for text, _ in row] for table in found.tables for row in table]
    for fact in (
        ["data.limit", "–"], ["layers.index", "0, 1"], ["skipped.too short", "2"],
        ["git", "abc+"], ["versions.numpy", "2.4.6"], ["measures.json", "ab12" * 16],
    ):  # fmt: skip
        assert fact in cells


def test_halves_and_layers_stand_beside_the_whole(run: Path) -> None:
    tables = [[[text for text, _ in row] for row in table] for table in read_page(run).tables]
    assert [
        ["measure", "all documents", "first half", "second half"],
        ["mean |r|", "0.1", "0.125", "0.375"],
        ["mean r", "–", "–", "0.0625"],
        ["Gini of strength", "0.5", "0.75", "–"],
    ] in tables
    assert [["layer", "r"], ["0", "0.625"], ["1", "0.875"]] in tables


def test_a_measure_that_nobody_explained_is_shown_all_the_same(run: Path) -> None:
    tables = {table.caption: table for table in run_tables(read(run))}  # type: ignore[arg-type]
    assert set(tables) <= set(GROUPS)
    assert [column.label for column in tables["Other"].columns] == ["brand new"]


def test_numbers_are_rounded_for_reading() -> None:
    assert [format_number(v) for v in (0.0, -0.00012346, 1e6, 0.99999, float("nan"))] == [
        "0", "-0.0001235", "1,000,000", "1", "–",
    ]  # fmt: skip


# Sweeps.


def test_a_sweep_lists_its_jobs_and_what_went_wrong(sweep: Path) -> None:
    found = read_page(sweep)
    assert found.texts["h1"] == ["Sweep of 3 runs over layers"]
    rows = [[text for text, _ in row] for row in found.tables[0]]
    assert rows[0] == ["job", "layers", "state", "topologies", "examples", "tokens", "seconds"]
    assert rows[1] == ["1", "each", "finished", "3", "12", "8,746", "3.5"]
    assert rows[2] == ["2", "99", "failed", "–", "–", "–", "–"]
    assert f"no layer {EVIL}" in found.texts["p"]
    assert rows[3][2] == "missing"
    gone = "gone is not a finished run: it has no manifest.json; give a run's folder"
    assert gone in found.texts["p"]
    assert "1 failed, 1 finished, 1 missing. Folder now." in found.texts["p"]
    measures = [[text for text, _ in row] for row in found.tables[1]]
    assert [row[:4] for row in measures[:2]] == [
        ["topology", "job", "layers", "mean |r|"], ["layer_0", "1", "each", "0.1"],
    ]  # fmt: skip


def test_a_sweep_shows_its_own_figure_and_those_of_its_runs(sweep: Path) -> None:
    described = [image["alt"] for image in read_page(sweep).all("img")]
    assert described == [
        f"summary of the sweep. {FIGURES['summary']}",
        f"measures by layer of run 1. {FIGURES['measures_by_layer']}",
    ]


def test_a_sweep_tells_its_command_where_hydra_kept_it(sweep: Path) -> None:
    assert read_page(sweep).texts["pre"] == ["python -m probe layers=each data.name=words"]
    kept = {"hydra": {"overrides": {"task": ["layers=each,99", "data.path=my file"]}}}
    (sweep / "multirun.yaml").write_text(json.dumps(kept))
    command = "python -m probe -m layers=each,99 'data.path=my file'"
    assert read_page(sweep).texts["pre"][0] == command


def test_a_sweep_can_be_moved_with_its_runs(sweep: Path, tmp_path: Path) -> None:
    summary = json.loads((sweep / "summary.json").read_text())
    summary["jobs"][0]["run"] = "../../run"
    (sweep / "summary.json").write_text(json.dumps(summary))
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    found = read_page(tmp_path / "elsewhere" / ".sweeps" / "now")
    assert found.tables[0][1][2][0] == "finished"


# The command.


def test_the_command_tells_the_page_and_its_size(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'} (0.0 MB)\n"
    after = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert after.keys() - before.keys() == {run / "report.html"}
    assert {file: after[file] for file in before} == before
    elsewhere = tmp_path / "new" / "page.html"
    assert main([str(run), "--output", str(elsewhere)]) == 0
    assert elsewhere.read_bytes() == (run / "report.html").read_bytes()


def broken(run: Path, file: str, content: str | None) -> str:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_text(content)
    with pytest.raises(UserError) as raised:
        write_report(run)
    return str(raised.value)


def test_a_folder_that_is_no_run_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"probe: {tmp_path} is neither a finished run (it has no manifest.json) nor a finished "
        "sweep (it has no summary.json); give the folder of one\n"
    )
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("probe: the following arguments are required: folder")


@pytest.mark.parametrize("file", ["measures.json", "measures_by_layer.csv", "overrides.yaml"])
def test_a_missing_file_is_named(run: Path, file: str) -> None:
    message = broken(run, file, None)
    assert message.startswith(f"{run} lacks ")
    assert f"{file}; " in message
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("manifest.json", "{", "manifest.json is corrupt (it cannot be read: Expecting"),
        ("measures.json", "[", "measures.json is corrupt (Expecting value"),
        ("measures.json", "{}", "has measures of other topologies; do the run again"),
        ("measures_by_layer.csv", "topology,x\nlayer_0,y\n", "measures_by_layer.csv is corrupt ("),
        ("overrides.yaml", "{", "overrides.yaml is corrupt ("),
        ("manifest.json", '{"topologies": []}', "has no topologies; give the folder of a run"),
    ],
)
def test_a_broken_file_is_named(run: Path, file: str, content: str, message: str) -> None:
    assert message in broken(run, file, content)


def test_a_page_that_cannot_be_written_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; give a file, --output"):
        write_report(run, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*; give another file with --output"):
        write_report(run, tmp_path / "file" / "page.html")


def test_help_is_a_page_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m probe.report outputs/.sweeps/" in capsys.readouterr().out


@pytest.mark.processes
def test_a_page_imports_nothing_heavy() -> None:
    heavy = "import sys, probe.report; print({'torch', 'matplotlib', 'wandb'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def test_a_run_of_the_program_becomes_a_page(tmp_path: Path) -> None:
    done = api.run(
        "data.limit=2", "layers=2", "average.halves=false", "measures.rewired=0", "tracking=none",
        f"output={tmp_path}",
    )  # fmt: skip
    manifest = (done / "manifest.json").read_bytes()
    found = read_page(done)
    assert (done / "manifest.json").read_bytes() == manifest
    assert found.texts["h1"] == ["tiny on sample: layer 2"]
    assert len(found.all("img")) == len(list(done.glob("figures/*.png"))) > 0
    measured = json.loads((done / "measures.json").read_text())
    rows = {row[0][0]: row for row in found.tables[0]}
    for name, measures in measured.items():
        assert rows[name][1][1]["data-value"] == str(measures["mean_abs_r"])


# Sorting, in the page's own script.


def in_node(expression: str) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, which runs the page's script here")
    script = (Path(page.__file__).parent / "template" / "page.js").read_text(encoding="utf-8")
    code = f"{script}\nconsole.log(JSON.stringify({expression}));"
    said = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


CELLS = ["10", "", "9.5", "layer_10", "-3", "1e-7", "layer_2", "all"]


@pytest.mark.parametrize(
    ("descending", "order"),
    [
        ("false", ["-3", "1e-7", "9.5", "10", "all", "layer_2", "layer_10", ""]),
        ("true", ["10", "9.5", "1e-7", "-3", "layer_10", "layer_2", "all", ""]),
    ],
)
def test_numbers_are_sorted_by_size_words_by_their_numbers_and_nothing_last(
    descending: str, order: list[str]
) -> None:
    sort = f"{json.dumps(CELLS)}.sort((a, b) => compare(a, b, {descending}))"
    assert in_node(sort) == order


def test_every_number_is_written_so_that_the_script_can_sort_it(run: Path) -> None:
    tables = [*read_page(run).tables]
    cells = [a["data-value"] for t in tables for r in t for _, a in r if a.get("class") == "number"
             and "data-value" in a]  # fmt: skip
    assert len(cells) > 10
    assert in_node(f"{json.dumps(cells)}.some((cell) => Number.isNaN(Number(cell)))") is False
