"""Units are found by their tokens and by each other as brute force over sets finds them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from experiments.neuron_graphs import public, search, show, similar
from experiments.neuron_graphs.behaviour import Firings, agreement
from experiments.neuron_graphs.finding import Term, find
from experiments.neuron_graphs.graph import START, WILDCARD, NeuronGraph
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.records import Record
from experiments.neuron_graphs.roles import ACTIVATING, CONTEXT, ROLES
from experiments.neuron_graphs.similarity import overlaps, pair_rows, pairs, token_sets
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError
from tests.experiments.neuron_graphs.some_records import (
    BIG,
    CAT,
    DOG,
    FIRST,
    HARM,
    HEADER,
    RED,
    THE,
    VOCABULARY,
    WORDS,
    A,
    dead,
    record_of,
    store_of,
)

# Unit: paths, F1.
UNITS = {
    "0:1": ({(CAT, THE): 1.0, (DOG, THE): 0.75}, 0.9),
    "0:2": ({(CAT,): 1.0}, 0.4),
    "0:2-": ({(CAT,): 0.75}, 0.6),
    "0:7": ({(DOG, BIG, THE): 1.0, (CAT, WILDCARD, RED): 0.5}, 0.3),
    "1:0": ({(CAT, CAT): 1.0, (DOG, WILDCARD, DOG): 1.0, (DOG, START): 1.0}, 0.7),
    "1:3": ({(THE, CAT): 1.0}, float("nan")),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    records = [record_of(unit, paths, f1) for unit, (paths, f1) in UNITS.items()]
    with store_of(tmp_path_factory.mktemp("store"), dead("0:9"), *records) as written:
        yield written


@pytest.fixture
def run(store: Store) -> str:
    return str(store.file.parent)


def _names(found: list[object]) -> list[str]:
    return [str(each.unit) for each in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("terms", "units"),
    [
        ([], ["0:1", "1:0", "0:2-", "0:2", "0:7", "1:3"]),
        ([Term("cat", ACTIVATING)], ["0:1", "1:0", "0:2-", "0:2", "0:7"]),
        ([Term(" CAT ", ACTIVATING), Term("the", CONTEXT)], ["0:1", "0:7"]),
        ([Term("cat", CONTEXT)], ["1:0", "1:3"]),
        ([Term("the")], ["0:1", "0:7", "1:3"]),
        ([Term("the"), Term("cat"), Term("red")], ["0:7"]),
        ([Term("the", ACTIVATING), Term("red")], []),
    ],
)
def test_a_search_is_an_intersection(store: Store, terms: list[Term], units: list[str]) -> None:
    assert _names(find(store, terms)) == units


def test_a_search_can_ask_for_more(store: Store) -> None:
    assert _names(find(store, min_f1=0.6)) == ["0:1", "1:0", "0:2-"]
    repeating = find(store, repeats=True)
    assert [(str(each.unit), each.repeats, each.tokens) for each in repeating] == [("1:0", 2, 2)]
    assert _names(find(store, several=True)) == ["1:0", "0:7"]


def test_a_token_that_fires_in_the_context_is_activating_too(tmp_path: Path) -> None:
    graph = NeuronGraph.of_paths({(CAT, THE, A): 1.0})
    activation = np.array([1.0, 0.5, 0.75], np.float32)
    fires = NeuronGraph(graph.parent, graph.token, graph.importance, activation, graph.end_max,
                        graph.end_count)  # fmt: skip
    with store_of(tmp_path, record_of("0:0", fires)) as written:
        rows = written.rows("SELECT token, role FROM postings ORDER BY token, role")
    both = [(THE, CONTEXT), (A, ACTIVATING), (A, CONTEXT), (CAT, ACTIVATING)]
    assert rows == both  # 0.5 does not exceed 0.5


def test_tokens_are_those_of_the_graph_that_predicts(tmp_path: Path) -> None:
    # As the paper's code merges: "the" gives way to the wildcard beside it.
    header = replace(HEADER, preset="paper_code")
    with Store.create(tmp_path / "graphs.sqlite", header, VOCABULARY) as written:
        written.add([record_of("0:0", {(CAT, WILDCARD, RED): 1.0, (CAT, THE, BIG): 1.0})])
        rows = written.rows("SELECT token FROM postings WHERE role = 'context' ORDER BY token")
    assert rows == [(BIG,), (RED,)]


def test_a_token_that_is_nowhere_is_told(store: Store) -> None:
    with pytest.raises(UserError, match="'catt' is no token of the model; near it are 'cat'; give"):
        find(store, [Term("catt")])
    with pytest.raises(UserError, match="'a' is in no graph; give one token"):
        find(store, [Term("a", ACTIVATING)])


# Pairs, against sets.


def _random_records(n: int) -> list[Record]:
    """Return units of which many have the same few tokens, and many no context."""
    random = np.random.default_rng(0)
    records = []
    for number in range(n):
        fires = random.choice(12, random.choice([1, 11, 12]), replace=False) + FIRST
        before = random.choice(3, random.integers(0, 3), replace=False) + 1
        paths = {(int(token), *map(int, before)): 1.0 for token in fires}
        records.append(record_of(f"{number % 3}:{number}", paths))
    return [*records, dead("2:999")]


def _brute(
    records: list[Record], least: float = 0.9
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    sets = {}
    for record in records:
        if record.graph is not None:
            sets[record.unit] = (
                {path[0] for path in record.graph.ends},
                {token for path in record.graph.ends for token in path[1:]},
            )

    def overlap(one: set[int], other: set[int], size: object) -> float:
        if not one and not other:
            return 1.0
        return len(one & other) / max(size((len(one), len(other))), 1)  # type: ignore[operator]

    similar_ones, subsets = set(), set()
    for one, other in combinations(sorted(sets), 2):
        both = list(zip(sets[one], sets[other], strict=True))
        if all(overlap(a, b, max) >= least for a, b in both):
            similar_ones.add((str(one), str(other)))
        elif all(overlap(a, b, min) >= least for a, b in both):
            more = sum(map(len, sets[one])) > sum(map(len, sets[other]))
            subsets.add((str(other), str(one)) if more else (str(one), str(other)))
    return similar_ones, subsets


@pytest.mark.parametrize("products", [1, 7 * 60, 1_000_000])
def test_pairs_are_those_of_brute_force(
    products: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _random_records(60)
    monkeypatch.setattr("experiments.neuron_graphs.similarity._PRODUCTS", products)
    with store_of(tmp_path, *records) as written:
        tokens = token_sets(written)
        found = pairs(tokens)
        counted = pair_rows(written)
    names = [str(unit) for unit in tokens.units]
    similar_ones, subsets = _brute(records)
    assert len(similar_ones) > 5
    assert len(subsets) > 20
    assert {(names[one], names[other]) for one, other in found.similar} == similar_ones
    assert {(names[one], names[other]) for one, other in found.subsets} == subsets
    assert [(row["kind"], row["pairs"], row["units"]) for row in counted] == [
        ("similar", len(similar_ones), 60), ("subset", len(subsets), 60),
    ]  # fmt: skip
    inside = sum(one[0] == other[0] for one, other in similar_ones)
    assert counted[0]["within_layer"] == inside


@pytest.mark.parametrize("least", [0.3, 0.5, 2 / 3, 1.0])
def test_other_thresholds_are_those_of_brute_force(least: float, tmp_path: Path) -> None:
    records = _random_records(40)
    with store_of(tmp_path, *records) as written:
        tokens = token_sets(written)
    found, names = pairs(tokens, least), [str(unit) for unit in tokens.units]
    similar_ones, subsets = _brute(records, least)
    assert {(names[one], names[other]) for one, other in found.similar} == similar_ones
    assert {(names[one], names[other]) for one, other in found.subsets} == subsets
    assert len(found.similar) + len(found.subsets) == len(similar_ones) + len(subsets) > 0


def test_a_store_without_graphs_has_no_pairs(tmp_path: Path) -> None:
    with store_of(tmp_path, dead("0:1")) as written:
        assert [row["pairs"] for row in pair_rows(written)] == [0, 0]


def test_two_neurons_without_context_are_similar(store: Store) -> None:
    tokens = token_sets(store)
    place = {str(unit): number for number, unit in enumerate(tokens.units)}
    found = pairs(tokens)
    assert found.similar.tolist() == [[place["0:2"], place["0:2-"]]]
    overlap = overlaps(tokens, place["0:1"])
    assert overlap[ACTIVATING][place["0:2"]] == 0.5
    assert overlap[CONTEXT][place["0:2"]] == 0.0
    assert overlap[CONTEXT][place["0:7"]] == 1 / 3
    assert overlaps(tokens, place["0:2"])[CONTEXT][place["0:2-"]] == 1.0


@pytest.mark.processes
def test_the_direction_of_subsets_does_not_depend_on_hashes(tmp_path: Path) -> None:
    store_of(tmp_path, *_random_records(40)).connection.close()
    code = (
        "import sys; from pathlib import Path; from experiments.neuron_graphs.store import Store;"
        "from experiments.neuron_graphs.similarity import pairs, token_sets;"
        "store = Store.read(Path(sys.argv[1])); print(pairs(token_sets(store)).subsets.tolist())"
    )
    root = Path(__file__).parents[3]
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "graphs.sqlite")],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}, cwd=root,
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


# Firing.


def test_firings_on_all_texts_at_once_are_those_of_each(store: Store) -> None:
    firings, texts = Firings(store), store.texts()
    for record in store.records():
        if record.graph is not None:
            each = [Predictor(record.graph)(text) >= 0.5 for text in texts.values()]
            whole = firings.of(record.graph)
            assert whole[firings.tokens >= 0].tolist() == np.concatenate(each).tolist()
            assert not whole[firings.tokens < 0].any()
    start = NeuronGraph.of_paths({(A, START): 1.0})
    assert np.flatnonzero(firings.of(start)).tolist() == [34]  # the second text begins with "a"


def test_agreement_is_f1() -> None:
    random = np.random.default_rng(0)
    one, other = random.random((2, 50)) < 0.4
    both, only = (one & other).sum(), (one ^ other).sum()
    assert agreement(one, other) == pytest.approx(2 * both / (2 * both + only))
    assert np.isnan(agreement(one & False, other & False))


# The public JSON.


def test_the_public_file_is_as_published_and_comes_back(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "neuron_store.json"
    assert public.export(store, file) == 1
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content == {
        "activating": {
            "cat": ["0_1", "0_2", "0_7", "1_0"], "dog": ["0_1", "0_7", "1_0"], "the": ["1_3"],
        },
        "important": {
            "big": ["0_7"], "cat": ["1_0", "1_3"], "dog": ["1_0"], "red": ["0_7"],
            "the": ["0_1", "0_7"],
        },
    }  # fmt: skip
    with public.read(file) as read:
        assert _names(find(read, [Term("cat", ACTIVATING), Term("the", CONTEXT)])) == ["0:1", "0:7"]
        assert _names(find(read, repeats=True)) == ["1:0"]
        assert [row["pairs"] for row in pair_rows(read)] == [0, 1]  # 0:1 is within 0:7
        again = tmp_path / "again.json"
        assert public.export(read, again) == 0
    assert again.read_bytes() == file.read_bytes()


def test_hostile_tokens_survive_the_public_file(tmp_path: Path) -> None:
    file = tmp_path / "store.json"
    with store_of(tmp_path, record_of("1:4", HARM)) as written:
        public.export(written, file)
    with public.read(file) as read:
        for token in WORDS[FIRST:]:
            assert _names(find(read, [Term(token, role) for role in ROLES])) == ["1:4"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "it cannot be read"),
        ("[]", "it has not the two keys activating and important"),
        ('{"activating": {}, "important": []}', "important is no object of tokens"),
        (
            '{"activating": {"a": "0_1"}, "important": {}}',
            "activating has no list of neurons for 'a'",
        ),
        ('{"activating": {"a": ["0.1"]}, "important": {}}', "'0.1' is no neuron such as 3_17"),
        ("[" * 100_000, "it cannot be read"),
    ],
)
def test_a_file_that_is_no_public_one_is_told(content: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(content)
    with pytest.raises(UserError, match=rf"is no public file of neuron graphs \({why}"):
        public.read(file)


# Commands.


def _said(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    out, err = capsys.readouterr()
    return out.splitlines(), err


def test_search_shows_what_it_finds(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search.main([run, "--activating", "cat", "--context", "the"]) == 0
    head, first, second, count = _said(capsys)[0]
    assert head.split()[:3] == ["unit", "F1", "pieces"]
    assert first.split() == ["0:1", "0.90", "1", "0", "3", "␣cat", "␣dog", "←", "␣the"]
    assert second.split()[0] == "0:7"
    assert count == "2 units"
    assert search.main([run, "--most", "1", "--min-f1", "0.5"]) == 0
    assert _said(capsys)[0][-1] == "3 units; --most 3 shows all"
    exported = tmp_path / "x.json"
    assert search.main([run, "--export", str(exported)]) == 0
    assert _said(capsys)[0] == [f"{exported}; 1 unit of negative activations left out"]
    assert search.main([str(exported), "--token", "red"]) == 0
    assert _said(capsys)[0][1].split()[:2] == ["0:7", "–"]


def test_similar_shows_structure_and_firing(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert similar.main([run, "0:2"]) == 0
    lines = _said(capsys)[0]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["0:2-", "1.00", "1.00", "1.00"], ["0:1", "0.50", "0.00", "0.50"],
    ]  # fmt: skip
    # "cat" is there three times; 0:1 fires on one of these.
    assert lines[-1] == "4 units of 6 share an activating token with 0:2, over 36 tokens of text"
    assert similar.main([run, "0:2", "--by", "firing", "--most", "2"]) == 0
    assert [line.split()[0] for line in _said(capsys)[0][1:-1]] == ["0:2-", "0:1"]


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (search.main, ["RUN", "--min-f1", "2"], "--min-f1 2 is no F1; give a number from 0 to 1"),
        (search.main, ["RUN", "--most", "0"], "--most 0 is too small; give 1 or more"),
        (search.main, ["RUN", "--tokens", "a"], "unrecognized arguments: --tokens a; --help shows"),
        (search.main, ["gone"], "gone is not there; give the folder of a finished study"),
        (
            search.main,
            ["RUN", "--context", "zzz"],
            "'zzz' is no token of the model; give one token",
        ),
        (similar.main, ["RUN", "0:9"], "unit 0:9 has no graph with tokens; search lists those"),
        (similar.main, ["RUN", "7:1"], "has no unit 7:1; its layers are 0, 1"),
        (similar.main, ["RUN", "0:2", "--most", "0"], "--most 0 is too small; give 1 or more"),
        (similar.main, ["RUN", "0-2"], "'0-2' is no unit; give layer:neuron, counted from 0"),
        (show.main, ["RUN", "0:9", "--dot"], "unit 0:9 has no graph: dead"),
        (show.main, ["RUN", "0:8"], "has no unit 0:8; layer 0 has 5 units, 1 among them"),
        (show.main, ["RUN"], "the following arguments are required: UNIT; --help shows the usage"),
        (show.main, ["gone", "0:1"], "gone has no graphs.sqlite; give the folder of a finished"),
        (show.main, ["RUN", "0:1", "--output", "RUN"], "cannot be written (Is a directory); give"),
    ],
)
def test_mistakes_are_one_line(
    main: object, words: list[str], message: str, run: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [word.replace("RUN", run) for word in words]
    assert main(given) == 1  # type: ignore[operator]
    _, err = _said(capsys)
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("probe: ")


@pytest.mark.processes
@pytest.mark.parametrize("name", ["show", "search", "similar"])
def test_commands_import_no_torch_and_have_help(name: str, run: str) -> None:
    words = [run] if name == "search" else [run, "0:2"]
    code = (
        f"import sys; from experiments.neuron_graphs.{name} import main\n"
        f"code = main({words!r}); assert not {{'torch', 'transformers'}} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0:2" in done.stdout or "Layer 0, neuron 2" in done.stdout
    module = f"experiments.neuron_graphs.{name}"
    help_ = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=root, capture_output=True, text=True
    )
    assert help_.returncode == 0
    assert f"python -m {module} RUN" in help_.stdout


def test_units_of_the_tests_are_those_of_the_store(store: Store) -> None:
    assert store.units() == {Unit.parse(unit) for unit in (*UNITS, "0:9")}
