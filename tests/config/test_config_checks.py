"""Every check of a configuration, by what it says and by the values that just pass it."""

import ast
import copy
from pathlib import Path
from typing import Any

import pytest

from probe.config import (
    JOINT,
    Coefficient,
    Config,
    Cut,
    Scheme,
    Selection,
    Sinks,
    Site,
    check,
    layer_numbers,
)
from probe.errors import UserError
from tests.config.compositions import ASSETS, TEXT, TINY, composed

BASE = composed()
SINGLE = {"layers.selection": Selection.single}
STREAMED = {
    "data.source": "hub", "data.id": "org/name", "data.streaming": True, "data.limit": 9,
}  # fmt: skip


def with_values(values: dict[str, Any]) -> Config:
    """Copy the default configuration with other values, unchecked."""
    config = copy.deepcopy(BASE)
    for name, value in values.items():
        *parents, last = name.split(".")
        part: Any = config
        for parent in parents:
            part = getattr(part, parent)
        assert hasattr(part, last)
        setattr(part, last, value)
    return config


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"tracking.tags": ["mine", "hf_abcdefghijklmnop"]},
        r"tracking\.tags contains a token or password, which would be saved .* in the environment",
    ),
    (
        {"model.id": None, "model.path": None},
        r"the model has neither path nor id; give model\.path=DIR or model\.id=ORG/NAME",
    ),
    (
        {"model.path": "no/such/folder"},
        r"model\.path=no/such/folder is not a model folder: it has no config\.json",
    ),
    (
        {"model.device_map": "balanced"},
        r"model\.device_map=balanced is not supported; give auto, or leave it out",
    ),
    (
        {"model.device_map": "auto", "launch.num_processes": 2},
        r"launch\.num_processes=2 is for models that fit on one device, and .*give one of the two",
    ),
    (
        {"model.device_map": "auto", "runtime.device": "cuda:1"},
        r"runtime\.device=cuda:1 is one device, and .*; give one of the two",
    ),
    ({"runtime.device": "gpu"}, r"runtime\.device=gpu is not a device; use auto, cpu or cuda"),
    ({"model.path": str(ASSETS)}, r"model\.path=.*assets is not a model folder: .*config\.json"),
    (
        {"data.source": "text"},
        r"data=text needs texts; give data\.path=, a file, a folder or a pattern$",
    ),
    *(
        (
            {"data.source": "table", "data.path": path, "data.template": template},
            r"data=table needs a file and a template; give data\.path=FILE and "
            r"'data\.template=\"Who wrote \{title\}\?\"'$",
        )
        for path, template in ((None, "{title}"), (str(TEXT), None), (str(TEXT), ""))
    ),
    *(
        (
            {"data.source": "table", "data.path": str(TEXT), "data.template": "{text}"} | values,
            r"data\.choices=.* must be two different texts or more, with data\.answer= the column "
            r"that says which is right, e\.g\. data\.choices=\[negative,positive\]",
        )
        for values in (
            {"data.choices": ["a", "b"]},
            {"data.answer": "label"},
            {"data.choices": ["a", "a"], "data.answer": "label"},
            {"data.choices": [], "data.answer": "label"},
        )
    ),
    ({"data.source": "hub"}, r"data=hub needs a data set; give data\.id=ORG/NAME$"),
    (
        {"data.part": "generated"},
        r"data\.part=generated counts tokens that the model writes; give their number, e\.g\. "
        r"data\.generate=8 data\.part=generated$",
    ),
    *(
        (
            {"data.part": part, "data.cut": cut},
            rf"data\.part={part} is known of whole texts, and data\.cut={cut} cuts them; give "
            r"data\.cut=whole, or leave data\.part out$",
        )
        for part, cut in (("question", Cut.tokens), ("prompt", Cut.truncate))
    ),
    (
        {"data.part": "assistant"},
        r"data\.part=assistant is a turn of a chat template, which model\.chat=false does not use; "
        r"give model\.chat=true, or data\.part=question or answer$",
    ),
    *(
        (
            {"data.drop_tokens": named},
            r"data\.drop_tokens=.* must be special, punctuation, the id of a token, or a list of "
            r"these, e\.g\. data\.drop_tokens=\[special,13\]$",
        )
        for named in ("words", -1, 1.5, True, ["special", "x"], [None], [[1]], {"a": 1})
    ),
    (
        {"data.temperature": 0.5},
        r"data\.temperature=0\.5 is for tokens that the model writes; give their number, e\.g\. "
        r"data\.generate=8, or leave it out$",
    ),
    *(
        (
            {"average.scheme": scheme, "data.generate": few, "data.part": "generated"},
            rf"average\.scheme={scheme} needs examples of {few + 1} tokens or more, and "
            rf"data\.generate={few} with data\.part=generated$",
        )
        for scheme, few in ((Scheme.mean, 1), (Scheme.fisher, 3), (Scheme.pooled, 1))
    ),
    (
        {"data.source": "text", "data.path": "no/such.txt"},
        r"data\.path=no/such\.txt does not exist",
    ),
    (
        {"data.source": "text", "data.path": "no/such/*.txt"},
        r"data\.path=no/such/\*\.txt does not exist",
    ),
    (
        STREAMED | {"data.path": str(TEXT)},
        r"data\.streaming=true has no effect with data\.path; give one of the two, or set "
        r"data\.streaming=false$",
    ),
    *(
        (
            STREAMED | values,
            r"data\.streaming=true needs data\.limit=N, and no data\.shuffle or data\.perplexity, "
            r"which need all rows$",
        )
        for values in (
            {"data.limit": None},
            {"data.shuffle": True},
            {"data.perplexity": [1.0, 99.0]},
        )
    ),
    (
        {"data.max_tokens": 15},
        r"data\.max_tokens=15 is below data\.min_tokens=16, so that no example could be kept",
    ),
    *(
        (
            {"data.perplexity": between},
            r"data\.perplexity=\[.*\] must be two percentiles from 0 to 100, the lower first, "
            r"e\.g\. data\.perplexity=\[1,99\]",
        )
        for between in (
            [],
            [50.0],
            [1.0, 50.0, 99.0],
            [99.0, 1.0],
            [5.0, 5.0],
            [-1.0, 99.0],
            [1.0, 100.5],
            [0.0, float("nan")],
        )
    ),
    (
        {"data.perplexity": [0.01, 0.99]},
        r"data\.perplexity=\[0\.01, 0\.99\] is below the first percentile; percentiles go from 0 "
        r"to 100, so give data\.perplexity=\[1,99\]",
    ),
    *(
        (
            {name: value},
            rf"{name}={shown} has no effect with data=sample; give data={give}, or set "
            rf"{name}={usual}$",
        )
        for name, value, shown, give, usual in (
            ("data.path", "a.parquet", r"a\.parquet", r"a\.parquet", "null"),
            ("data.id", "org/name", "org/name", "hub, mbpp, .* or wikitext", "null"),
            ("data.column", "body", "body", "hub, mbpp, .*, text or wikitext", "text"),
            ("data.template", "{title}", r"\{title\}", "table", "null"),
            ("data.choices", ["a", "b"], r"\[a,b\]", "table", "null"),
            ("data.streaming", True, "true", "hub, mbpp, .* or wikitext", "false"),
        )
    ),
    (
        {"data.window": 64},
        r"data\.window=64 has no effect with data\.cut=whole; give data\.cut=tokens, or set "
        r"data\.window=null$",
    ),
    (
        SINGLE,
        r"layers=single needs layer numbers; give e\.g\. layers=12 or layers=\[3,7\]",
    ),
    *(
        (
            SINGLE | {"layers.index": index},
            r"layers\.index=.* must be a layer number from 0 up or a list of them, e\.g\. layers=",
        )
        for index in (-1, [], [0, -1], 1.0, True, "3", [3, "x"], [[0, 1]], {"a": 1}, [None])
    ),
    (
        SINGLE | {"layers.index": [3, 7, 3]},
        r"layers\.index=\[3, 7, 3\] names a layer twice; name each once",
    ),
    *(
        (
            {"layers.selection": kind, "average.halves": False, "layers.index": index},
            rf"layers={kind} joins two or more layers, and layers\.index=.* is one; give e\.g\. "
            r"layers\.index=\[3,7\], or leave it out for all layers$",
        )
        for kind in JOINT
        for index in (3, [3])
    ),
    *(
        (
            {"layers.selection": kind, "average.halves": False, "layers.index": [1, 1]},
            r"layers\.index=\[1, 1\] names a layer twice; name each once",
        )
        for kind in JOINT
    ),
    *(
        ({"layers.selection": kind, "average.halves": False} | values, rf"layers={kind} {message}$")
        for kind in JOINT
        for values, message in (
            (
                {"average.scheme": Scheme.pooled},
                r"needs a mean over examples; use average=mean or average=fisher",
            ),
            (
                {"data.sinks": Sinks.drop},
                r"joins layers that do not drop the same tokens; leave data\.sinks=drop out, or "
                "use layers=each",
            ),
            (
                {"average.std": True},
                r"has no standard errors; leave average\.std=true out, or use layers=each",
            ),
            (
                {"null.shifts": 2},
                r"has no circular-shift null; leave null\.shifts=2 out, or use layers=each",
            ),
        )
    ),
    (
        {"layers.selection": Selection.full},
        r"layers=full has no split-half r, which would double its sums; leave average\.halves=true "
        r"out, or use layers=cross$",
    ),
    (
        {"site": Site.mlp},
        r"layers=all with site=mlp would average over unrelated neurons, as every layer's MLP has "
        r"its own; use layers=each or layer numbers",
    ),
    (
        {"average.std": True, "average.scheme": Scheme.pooled},
        r"average\.std=true needs a mean over examples: average=mean or average=fisher",
    ),
    (
        {"average.correlation": Coefficient.spearman, "average.scheme": Scheme.pooled},
        r"average\.correlation=spearman ranks the tokens of each text, and average=pooled joins "
        r"those of all texts; use average=mean or average=fisher$",
    ),
    (
        {"average.example": 2, "average.parts": 3},
        r"average\.example=2 selects one example; average\.parts must be 1",
    ),
    (
        {"average.scheme": Scheme.fisher, "data.min_tokens": 3},
        r"average\.scheme=fisher needs examples of 4 tokens or more, and data\.min_tokens=3",
    ),
    *(
        (
            {"site": Site.embedding, "layers.selection": selection, "layers.index": index},
            r"site=embedding is the input of the first block, a single layer, 0; give layers=0, or "
            r"leave layers out$",
        )
        for selection, index in (
            (Selection.middle, None),
            (Selection.single, 1),
            (Selection.single, [0, 1]),
            (Selection.cross, None),
            (Selection.full, None),
        )
    ),
    *(
        (
            {"measures.density": density},
            r"measures\.density=.* must be a fraction above 0 and up to 1, or a list of them, "
            r"e\.g\. measures\.density=0\.1 or measures\.density=\[0\.01,0\.1\]$",
        )
        for density in (0, -0.1, 1.5, [], [0.1, 0], [0.1, 2], "much", [None], float("nan"), None)
    ),
    (
        {"measures.density": [0.1, 0.2, 0.1]},
        r"measures\.density=\[0\.1, 0\.2, 0\.1\] names a density twice; name each once$",
    ),
    *(
        (
            {name: value, "data.cut": Cut.tokens},
            rf"{name}={value} is too small; give {least} or more",
        )
        for name, value, least in [
            ("runtime.checkpoint_minutes", -0.5, 0),
            ("data.max_words", 0, 1),
            ("data.min_tokens", 1, 2),
            ("data.window", 1, 2),
            ("data.skip_first", -1, 0),
            ("data.offset", -1, 0),
            ("data.limit", 0, 1),
            ("average.parts", 0, 1),
            ("average.example", -1, 0),
            ("launch.num_processes", 0, 1),
            ("null.shifts", -1, 0),
            ("null.seed", -1, 0),
            ("measures.rewired", -1, 0),
            ("measures.hubs", 0, 1),
            ("measures.seed", -1, 0),
            ("runtime.token_budget", 0, 1),
        ]
    ),
    (
        {"runtime.checkpoint_minutes": float("nan")},
        r"runtime\.checkpoint_minutes=nan is not a number; give 0 or more",
    ),
]
PASSED: list[dict[str, Any]] = [
    {},
    {"model.id": None, "model.path": str(TINY)},
    {"data.path": str(ASSETS / "sample.jsonl"), "data.source": "text"},
    {"data.path": str(ASSETS), "data.source": "text"},
    {"data.path": str(ASSETS / "*.jsonl"), "data.source": "text"},
    {"data.max_tokens": 16},
    {"data.window": 64, "data.cut": Cut.tokens},
    SINGLE | {"layers.index": 0},
    SINGLE | {"layers.index": [7, 3]},
    {"site": Site.mlp, "layers.selection": Selection.each},
    {"site": Site.mlp, "layers.selection": Selection.single, "layers.index": 2},
    {"site": Site.attention},
    {"site": Site.embedding},
    {"site": Site.embedding, "layers.selection": Selection.each},
    {"site": Site.embedding, "layers.selection": Selection.single, "layers.index": 0},
    {"site": Site.embedding, "layers.selection": Selection.single, "layers.index": [0]},
    {"layers.selection": Selection.cross, "site": Site.mlp},
    {"layers.selection": Selection.cross, "layers.index": [3, 7], "average.parts": 2},
    {"layers.selection": Selection.full, "average.halves": False, "layers.index": [7, 3]},
    {"average.std": True, "average.scheme": Scheme.fisher},
    {"average.std": True},
    {"average.example": 0, "average.parts": 1},
    {"average.scheme": Scheme.fisher, "data.min_tokens": 4},
    {"data.max_words": 1},
    {"data.min_tokens": 2},
    {"data.window": 2, "data.cut": Cut.tokens},
    {"data.generate": 1, "data.temperature": 0.5},
    {"data.generate": 2, "data.part": "generated"},
    {"data.generate": 2, "data.part": "prompt", "data.cut": Cut.tokens},
    {"data.part": "answer"},
    {"data.part": "assistant", "model.chat": True},
    *({"data.drop_tokens": named} for named in ("special", 13, ["punctuation", 0], [])),
    # A bound on what counts, which the prompt is no part of.
    {"data.generate": 2, "data.part": "generated", "data.max_tokens": 9},
    {"data.skip_first": 0, "data.offset": 0, "data.limit": 1},
    {"launch.num_processes": 1, "runtime.token_budget": 1},
    {"data.source": "table", "data.path": str(TEXT), "data.template": "{text}"},
    {"data.source": "hub", "data.id": "org/name"},
    {"data.source": "hub", "data.path": str(ASSETS)},
    STREAMED,
    {"data.perplexity": [0.0, 100.0]},
    {"data.perplexity": [1, 99]},
    {"measures.density": 1},
    {"measures.density": 0.001},
    {"measures.density": [0.2, 0.1, 1.0]},
    {"measures.rewired": 0, "measures.hubs": 1, "measures.seed": 0},
    {"null.shifts": 0, "null.seed": 0},
]


def say(value: Any) -> str:
    """Write the values of a case as a test's name."""
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=say)
def test_what_cannot_work_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^{message}") as refused:
        check(with_values(values))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("values", PASSED, ids=say)
def test_what_just_works_is_let_through(values: dict[str, Any]) -> None:
    check(with_values(values))


def test_a_relative_path_is_found_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("text")
    config = with_values({"data.path": "text.txt", "data.source": "text"})
    with pytest.raises(UserError, match="does not exist"):
        check(config)
    monkeypatch.chdir(tmp_path)
    check(config)


def test_no_message_of_the_checks_is_left_untested() -> None:
    checks = Path(check.__code__.co_filename)
    found = {}
    others = ("value_checks.py", "run_name.py", "reads.py")
    for file in (checks, *map(checks.with_name, others)):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        found[file.name] = sum(isinstance(node, ast.Yield) for node in nodes)
    # The others' are here, in tests/entry/test_bad_input.py and test_reads.py.
    assert found == {"checks.py": 36, "value_checks.py": 8, "run_name.py": 1, "reads.py": 10}


@pytest.mark.parametrize(("index", "numbers"), [(12, [12]), ([3, 7], [3, 7]), ([5], [5])])
def test_layer_numbers_are_a_list_of_their_own(index: Any, numbers: list[int]) -> None:
    config = with_values(SINGLE | {"layers.index": index})
    found = layer_numbers(config)
    assert found == numbers
    found.append(99)
    assert config.layers.index == index


def test_the_first_mistake_is_the_one_that_is_said() -> None:
    with pytest.raises(UserError, match="the model has neither"):
        check(with_values({"model.id": None, "data.limit": 0}))


@pytest.mark.parametrize("kind", ["cross", "full"])
def test_joined_layers_take_numbers_or_all_and_no_halves_unless_asked(kind: str) -> None:
    every = composed(f"layers={kind}")
    assert (layer_numbers(every), every.average.halves) == ([], False)
    some = composed(f"layers={kind}", "layers.index=[3,7]", "average=fisher")
    assert (layer_numbers(some), some.average.halves) == ([3, 7], False)
    assert composed("layers=cross", "average.halves=true").average.halves
    assert composed("layers=each").average.halves
