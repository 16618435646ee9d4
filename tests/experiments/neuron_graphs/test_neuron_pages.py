"""Pictures are laid out as they are read; no token of a text does more than stand in a label."""

import json
import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pydot
import pytest

from experiments.neuron_graphs import pages, show
from experiments.neuron_graphs.dot import to_dot
from experiments.neuron_graphs.figures import costs, f1_by_layer
from experiments.neuron_graphs.graph import START, WILDCARD, NeuronGraph
from experiments.neuron_graphs.looking import finish
from experiments.neuron_graphs.normalise import Vocabulary
from experiments.neuron_graphs.pages import gallery, page_name, spread, write_page, write_pages
from experiments.neuron_graphs.picture import HEIGHT, WIDTH, Picture, Style, draw
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.visible import visible
from experiments.neuron_graphs.visual import VisualGraph, visual
from probe.api import Results
from tests.experiments.neuron_graphs.some_records import (
    BIG,
    CAT,
    DOG,
    FIRST,
    HARM,
    HEADER,
    HOSTILE,
    RED,
    THE,
    WORDS,
    A,
    dead,
    record_of,
    store_of,
)

PUBLISHED = Style(fire=0.5, importance=0.75)
VOID = {"meta", "img", "br", "input"}


def _drawn(paths: dict[tuple[int, ...], float], style: Style = PUBLISHED) -> Picture:
    return draw(visual(NeuronGraph.of_paths(paths)), WORDS, style)


# The picture.


def test_two_meanings_are_two_pieces_with_the_published_colours() -> None:
    picture = _drawn({(CAT, THE): 1.0, (DOG, A): 0.8})
    assert picture.components == 2
    boxes = {box.label: box for box in picture.boxes}
    assert boxes["␣cat"].fill == "#ff0000"
    assert boxes["␣dog"].fill == "#ff4949"  # int(255 (.8 - .3)/.7) = 182
    assert {(before.label, behind.label) for before, behind in picture.lines} == {
        ("␣the", "␣cat"), ("␣a", "␣dog"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("importance", "fill", "ink"),
    [
        (1.0, "#0000ff", "#ffffff"),
        (0.78, "#7d7dff", "#ffffff"),  # 255 - int(255 (.78 - .55)/.45) = 125
        (0.76, "#8989ff", "#000000"),  # 137
        (0.55, "#ffffff", "#000000"),
        (-0.5, "#ffffff", "#000000"),
    ],
)
def test_context_is_the_bluer_the_more_important(importance: float, fill: str, ink: str) -> None:
    graph = visual(NeuronGraph.of_paths({(CAT, THE): 1.0}))
    weights = np.array([1.0, importance], np.float32)
    changed = VisualGraph(graph.depth, graph.token, weights, graph.activation, graph.ends,
                          graph.edges, graph.components)  # fmt: skip
    box = draw(changed, WORDS, PUBLISHED).boxes[1]
    assert (box.fill, box.ink) == (fill, ink)


def test_layers_go_from_right_to_left_and_boxes_do_not_touch() -> None:
    random = np.random.default_rng(0)
    paths = {
        tuple(int(token) for token in random.integers(1, 12, random.integers(1, 6))): 1.0
        for _ in range(40)
    }
    picture = _drawn(paths)
    for before, behind in picture.lines:
        assert before.depth == behind.depth + 1
        assert before.x + WIDTH < behind.x
    for depth in range(5):
        layer = sorted((box for box in picture.boxes if box.depth == depth), key=lambda box: box.y)
        assert len({box.x for box in layer}) == 1
        assert all(low.y + HEIGHT < high.y for low, high in pairwise(layer))
    assert all(0 <= box.x <= picture.width - WIDTH for box in picture.boxes)
    assert all(0 <= box.y <= picture.height - HEIGHT for box in picture.boxes)


def test_pieces_stand_below_each_other_the_strongest_first() -> None:
    picture = _drawn({(CAT, THE): 0.6, (DOG, A, BIG): 1.0, (DOG, RED): 0.9})
    top = {box.label: box.y for box in picture.boxes}
    assert max(top[label] for label in ("␣dog", "␣a", "␣big", "␣red")) + HEIGHT < min(
        top["␣cat"], top["␣the"]
    )


def test_a_token_is_close_to_what_it_leads_to() -> None:
    picture = _drawn({(CAT, RED): 1.0, (DOG, RED): 0.9, (CAT, THE): 1.0, (DOG, A): 0.9})
    top = {box.label: box.y for box in picture.boxes}
    assert top["␣cat"] < top["␣dog"]
    assert top["␣the"] < top["␣red"] < top["␣a"]


def test_the_start_and_any_token_have_labels() -> None:
    picture = _drawn({(CAT, WILDCARD, START): 1.0, (WILDCARD, THE): 1.0})
    labels = sorted(box.label for box in picture.boxes)
    assert labels == ["any token", "start of text", "␣cat", "␣the"]


def test_a_long_label_is_cut_and_whole_beside_the_box() -> None:
    words = (*WORDS[:CAT], "x" * 99, *WORDS[DOG:])
    box = draw(visual(NeuronGraph.of_paths({(CAT,): 1.0})), words, PUBLISHED).boxes[0]
    assert box.label == "x" * 14 + "…"
    assert box.whole == "x" * 99 + " (token 5): activation 1.00"


# Hostile tokens.


@pytest.mark.parametrize("text", HOSTILE)
def test_every_token_is_a_visible_label_of_its_own(text: str) -> None:
    label = visible(text, 7)
    assert label.strip()
    assert all(unicodedata.category(letter)[0] not in "CZ" for letter in label)
    assert sum(visible(other, 7) == label for other in set(HOSTILE)) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pydot")
def test_graphviz_text_is_parsed_with_a_labelled_node_for_every_token() -> None:
    graph = visual(HARM)
    parsed = pydot.graph_from_dot_data(to_dot(graph, WORDS, PUBLISHED))
    assert parsed is not None
    [dot] = parsed
    clusters = dot.get_subgraphs()
    assert [cluster.get_name() for cluster in clusters] == ["cluster_0", "cluster_1"]
    found = [node.get_label() for cluster in clusters for node in cluster.get_nodes()]
    texts = [re.sub(r"\\(.)", r"\1", label[1:-1]).replace("&amp;", "&") for label in found if label]
    assert all(label[0] == label[-1] == '"' for label in found if label)
    expected = [visible(WORDS[token], token) for token in graph.token]
    assert texts == expected
    assert len(dot.get_edges()) == len(graph.edges)


def _unseen(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf")} - {"\n"}


class Reader(HTMLParser):
    """Tags and texts of a page; tags that are not closed in turn are an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    several = {(CAT, THE): 1.0, (CAT, WILDCARD, BIG): 0.75, (DOG, START): 0.5}
    return store_of(
        tmp_path_factory.mktemp("store"), record_of("1:4", HARM, 0.25),
        record_of("0:12", several, 1.0), dead("0:3"),
        record_of("0:12-", {(A,): 1.0, (A, A): 1.0}, float("nan"), "short"),
    )  # fmt: skip


def test_a_page_of_hostile_tokens_has_none_but_its_own_tags(store: Store, tmp_path: Path) -> None:
    file = write_page(store, store.record(Unit(1, 4)), tmp_path / "page.html", "index.html")
    page = file.read_text(encoding="utf-8")
    found = Reader(page)
    names = [name for name, _ in found.tags]
    assert set(names) <= {
        "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "p", "main",
        "section", "h2", "h3", "div", "svg", "path", "g", "rect", "text", "table", "caption",
        "thead", "tbody", "tr", "th", "td", "details", "summary", "ol", "li", "code", "span",
        "script",
    }  # fmt: skip
    assert names.count("script") == 1
    assert not [name for _, attributes in found.tags for name in attributes if name[:2] == "on"]
    expected = {visible(word, token) for token, word in enumerate(HOSTILE, FIRST)}
    labels = found.texts["text"]
    assert len(labels) == names.count("rect") == 2 * len(HOSTILE) + 2
    assert all(labels)
    assert expected <= set(labels)
    assert not any(
        unicodedata.category(letter) in ("Cc", "Cf") for letter in page if letter != "\n"
    )
    policy = next(
        str(attributes["content"]) for name, attributes in found.tags
        if name == "meta" and "http-equiv" in attributes
    )  # fmt: skip
    assert policy.startswith("default-src 'none'")
    assert not [
        value for _, attributes in found.tags for key, value in attributes.items()
        if key in ("src", "href") and value not in ("#content", "index.html")
    ]  # fmt: skip


def test_a_page_says_what_the_store_knows(store: Store, tmp_path: Path) -> None:
    file = write_page(store, store.record(Unit(0, 12)), tmp_path / "page.html")
    found = Reader(file.read_text(encoding="utf-8"))
    assert found.texts["h1"] == ["Layer 0, neuron 12"]
    cells = found.texts["td"]
    assert cells[:6] == ["0.75", "0.38", "1.00", "0.50", "0.25", "0.12"]
    assert cells[6:] == ["–", "0.00", "0.00"]
    assert [item.split() for item in found.texts["li"]] == [
        ["␣the", "␣cat", "1.00"], ["␣big", "…", "␣cat", "0.75"],
        ["start", "of", "text", "␣dog", "0.50"],
    ]  # fmt: skip
    spans = [attributes for name, attributes in found.tags if name == "span"]
    coloured = [
        (text, attributes["class"])
        for attributes, text in zip(spans, found.texts["span"], strict=True)
        if "title" in attributes
    ]
    # The held-out text first. Shares are ½ of all hostile tokens, 1 and ¼; then ½ in the other.
    assert coloured[0] == ('"', "a5")
    assert coloured[-4:] == [(" cat", "a10 said"), (" dog", "a3"), (" cat", "a5"), (" cat", "a5")]
    assert len(coloured) == 4 + len(HOSTILE)


@pytest.mark.parametrize(("unit", "words"), [("0:3", "dead"), ("0:12-", "short")])
def test_a_unit_without_a_graph_or_with_a_note_says_so(
    unit: str, words: str, store: Store, tmp_path: Path
) -> None:
    file = write_page(store, store.record(Unit.parse(unit)), tmp_path / "page.html")
    found = Reader(file.read_text(encoding="utf-8"))
    assert words in found.texts["p"]
    assert ("svg" in found.texts) == (unit != "0:3")


# The gallery.


def _data(page: str) -> dict[str, Any]:
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert not set("<>&") & set(data)
    return dict(json.loads(data))


# What is asked for, and the units that are found, in order.
ASKED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["0:12", "1:4", "0:3", "0:12-"]),
    ({"by": "worst"}, ["1:4", "0:12", "0:3", "0:12-"]),
    ({"by": "unit"}, ["0:3", "0:12", "0:12-", "1:4"]),
    ({"by": "repeats"}, ["1:4", "0:12-", "0:3", "0:12"]),
    ({"activating": "CAT", "context": "the  big"}, ["0:12"]),
    ({"activating": "cat", "context": "red"}, []),
    ({"activating": "</script>"}, ["1:4"]),
    ({"activating": "\\n ␣ \\x00"}, ["1:4"]),
    ({"f1": "0.5"}, ["0:12"]),
    ({"layer": "1"}, ["1:4"]),
    ({"several": True}, ["0:12", "1:4"]),
]


def test_the_gallery_finds_units(store: Store) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, which runs the page's script here")
    usual = {"activating": "", "context": "", "f1": "", "layer": "", "by": "f1"}
    forms = [
        {name: {"value": value} for name, value in (usual | asked).items()}
        | {"several": {"checked": asked.get("several", False)}}
        for asked, _ in ASKED
    ]
    script = (Path(pages.__file__).parent / "template" / "page.js").read_text(encoding="utf-8")
    code = (
        f"{script}\nconst data = {json.dumps(_data(gallery(store, set())))};\n"
        f"const found = {json.dumps(forms)}.map((form) => search(form, data));\n"
        "console.log(JSON.stringify(found.map((units) => units.map((unit) => unit.unit))));"
    )
    said = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == [units for _, units in ASKED]


def test_the_gallery_is_spread_over_many_units(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = gallery(store, {Unit(0, 12)}, most=2)
    assert [unit["unit"] for unit in _data(page)["units"]] == ["0:3", "1:4"]
    assert "2 of 4 units, evenly" in page.replace("\n", " ")
    for n, most in ((10, 3), (7, 6), (1000, 500)):
        places = spread(list(range(n)), most)
        assert len(set(places)) == len(places) == most
        assert (places[0], places[-1]) == (0, n - 1)


def test_all_pages_are_written_and_linked(store: Store, tmp_path: Path) -> None:
    index = write_pages(store, tmp_path)
    units = _data(index.read_text(encoding="utf-8"))["units"]
    files = {file.name for file in index.parent.iterdir()}
    assert files == {"index.html", "0_3.html", "0_12.html", "0_12-.html", "1_4.html"}
    assert {unit["page"] for unit in units} == files - {"index.html"}
    assert units[0] == {
        "unit": "0:3", "layer": 0, "f1": None, "token_f1": None, "pieces": 0, "reason": "dead",
        "repeats": 0, "activating": [], "context": [], "page": "0_3.html",
    }  # fmt: skip


# The command, and the study's end.


def test_show_writes_the_graph_and_its_page(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = store.file.parent
    assert show.main([str(run), "0:12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Layer 0, neuron 12 (tiny, mlp)"
    assert lines[3].split() == ["1.00", "1", "␣the", "␣cat"]
    assert ["graph", "0.75", "0.38", "1.00"] in [line.split() for line in lines]
    [text] = [line for line in lines if line.startswith("text ")]
    assert text.startswith('text 1, 1.00: ⟨"⟩⟨\\⟩⟨<⟩')
    assert text.endswith(" the⟨ cat⟩ a dog big")
    page = run / "page" / page_name(Unit(0, 12))
    assert lines[-1] == f"page: {page}"
    assert "<svg" in page.read_text(encoding="utf-8")
    own = tmp_path / "own.html"
    assert show.main([str(run), "0:3", "--output", str(own)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Layer 0, neuron 3 (tiny, mlp)", "note: dead", f"page: {own}"
    ]  # fmt: skip
    assert own.is_file()


def test_running_text_keeps_the_spaces_that_equal_tokens_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = replace(HEADER, normalise="title_strip")
    with Store.create(
        tmp_path / "graphs.sqlite", header, Vocabulary.of(WORDS, "title_strip")
    ) as store:
        store.add([record_of("0:12", {(CAT, THE): 1.0})])
    assert show.main([str(tmp_path), "0:12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["1.00", "1", "the", "cat"]
    assert " the⟨ cat⟩ a dog big" in "".join(lines)


def test_a_control_has_pages_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("graphs.sqlite", "control.sqlite"):
        with store_of(tmp_path, record_of("0:1", {(CAT,): 1.0}), name=name) as written:
            assert show.main([str(written.file), "0:1"]) == 0
    given, control = re.findall(r"page: (.+)", capsys.readouterr().out)
    assert given == str(tmp_path / "page" / "0_1.html")
    assert control == str(tmp_path / "page" / "control" / "0_1.html")


def test_show_writes_dot_and_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(store.file.parent)
    assert show.main([run, "1:4", "--json"]) == 0
    assert NeuronGraph.from_json(capsys.readouterr().out).ends == HARM.ends
    assert show.main([run, "1:4", "--dot"]) == 0
    consistent = Style(fire=0.5, importance=0.5)
    assert capsys.readouterr().out == to_dot(visual(HARM), WORDS, consistent)


def test_hostile_tokens_do_not_reach_the_terminal(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show.main([str(store.file.parent), "1:4"]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[2J" in out
    assert not _unseen(out)


def _summary() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for model in ("given", "random"):
        for layer in (0, 1, "all"):
            row: dict[str, Any] = {"model": model, "layer": layer}
            for place, name in enumerate(("f1", "token_f1", "ngram_f1")):
                value = None if (model, layer) == ("random", 1) else 0.5 - place / 10
                row |= {name: value, f"{name}_low": value, f"{name}_high": value}
            rows.append(row)
    return rows


def test_the_figure_of_f1_has_all_lines(store: Store) -> None:
    [axes] = f1_by_layer("tiny", _summary()).axes
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    assert {name: values.tolist() for name, values in lines.items()} == {
        "graph": [0.5, 0.5], "token lookup": [0.4, 0.4], "n-gram lookup": [0.3, 0.3],
        "graph, random weights": [0.5],
    }  # fmt: skip


def test_the_figure_of_costs_is_of_units_that_took_something(store: Store) -> None:
    calls, tokens = costs("tiny", store).axes
    assert [bar.get_height() for bar in calls.patches] == [0.5, 0.5]  # type: ignore[attr-defined]
    assert [bar.get_height() for bar in tokens.patches] == [2560, 2560]  # type: ignore[attr-defined]


def test_the_study_ends_with_pages_figures_and_pairs(store: Store, tmp_path: Path) -> None:
    with store_of(tmp_path, dead("0:0"), name="control.sqlite") as control:
        finish(tmp_path, store, control, Results(tmp_path), _summary(), "tiny on sample")
    assert (tmp_path / "page" / "index.html").is_file()
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "f1_by_layer.png", "cost.png"
    }  # fmt: skip
    table = (tmp_path / "pairs.csv").read_text().splitlines()
    assert table == [
        "model,kind,pairs,within_layer,units,threshold",
        "given,similar,0,0,3,0.9", "given,subset,0,0,3,0.9",
        "random,similar,0,0,0,0.9", "random,subset,0,0,0,0.9",
    ]  # fmt: skip
