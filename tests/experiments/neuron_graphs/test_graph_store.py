"""What a store returns is what was put into it; whatever is damaged or foreign is one line."""

import ast
import inspect
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from experiments.neuron_graphs import database, graph, rows, store
from experiments.neuron_graphs.graph import NeuronGraph
from experiments.neuron_graphs.records import Record
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError
from tests.experiments.neuron_graphs.some_records import (
    BIG,
    CAT,
    DOG,
    HARM,
    HEADER,
    THE,
    VOCABULARY,
    WORDS,
    A,
    dead,
    record_of,
    store_of,
)

SEVERAL = (
    record_of("1:4", HARM, 0.25),
    record_of("0:12", {(CAT, THE): 1.0, (CAT, -1, BIG): 0.75, (DOG, -2): 0.5}, 1.0),
    dead("0:3"),
    record_of("0:12-", {(A,): 1.0}, reason="short"),
)


def _same(one: Record, other: Record) -> None:
    assert (one.unit, one.reason, one.largest, one.cost) == (
        other.unit, other.reason, other.largest, other.cost,
    )  # fmt: skip
    assert str(asdict(one.scores)) == str(asdict(other.scores))  # NaN, too
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    assert (one.graph is None) == (other.graph is None)
    if one.graph is not None and other.graph is not None:
        assert one.graph.to_json() == other.graph.to_json()
    assert len(one.texts) == len(other.texts)
    for mine, yours in zip(one.texts, other.texts, strict=True):
        assert (mine.example, mine.document, mine.held_out) == (
            yours.example, yours.document, yours.held_out,
        )  # fmt: skip
        np.testing.assert_array_equal(mine.tokens, yours.tokens)
        np.testing.assert_allclose(mine.activations, yours.activations, rtol=1e-3)


def test_what_is_put_in_comes_out_again(tmp_path: Path) -> None:
    with store_of(tmp_path, *SEVERAL) as written:
        assert written.has(Unit(0, 12, -1))
        assert not written.has(Unit(0, 13))
    with Store.read(tmp_path / "graphs.sqlite") as read:
        assert read.header == HEADER
        assert read.vocabulary.labels == WORDS
        assert read.units() == {record.unit for record in SEVERAL}
        records = list(read.records())
        assert [str(record.unit) for record in records] == ["0:3", "0:12", "0:12-", "1:4"]
        for record in SEVERAL:
            _same(read.record(record.unit), record)
        assert {example: len(tokens) for example, tokens in read.texts().items()} == {1: 32, 2: 4}


def test_a_store_is_continued_and_another_one_is_not(tmp_path: Path) -> None:
    store_of(tmp_path, *SEVERAL[:2]).connection.close()
    with store_of(tmp_path, *SEVERAL[2:]) as continued:
        assert len(continued.units()) == 4
    for name, value in {"model": "gpt2", "weights": "sha256 99", "fire": 0.25}.items():
        with pytest.raises(
            UserError, match=rf"graphs.sqlite is of {name} .* of {name} {value}; mov"
        ):
            Store.create(tmp_path / "graphs.sqlite", replace(HEADER, **{name: value}), VOCABULARY)


def test_units_are_added_all_or_none(tmp_path: Path) -> None:
    with store_of(tmp_path) as written:
        broken = replace(SEVERAL[1], texts=(replace(SEVERAL[1].texts[0], example=None),))  # type: ignore[type-var]
        with pytest.raises(UserError, match="NOT NULL"):
            written.add([SEVERAL[0], broken])
        assert written.units() == set()
        written.add([SEVERAL[0]])
    with Store.read(tmp_path / "graphs.sqlite") as read:
        assert read.units() == {Unit(1, 4)}


def test_a_unit_that_is_not_there_is_named(tmp_path: Path) -> None:
    with store_of(tmp_path, *SEVERAL) as read:
        with pytest.raises(UserError, match="has no unit 0:5; layer 0 has 3 units, 3 among them"):
            read.record(Unit(0, 5))
        with pytest.raises(UserError, match="has no unit 7:5; its layers are 0, 1"):
            read.record(Unit(7, 5))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with store_of(tmp_path_factory.mktemp("whole"), SEVERAL[0]) as written:
        return written.file


def _truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _overwrite(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)


def _sql(query: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        connection = sqlite3.connect(file)
        with connection:
            connection.execute(query)
        connection.close()

    return change


def _array(name: str, position: int, value: float, sealed: bool = True) -> Callable[[Path], None]:
    """Change an array of unit 1:4; `sealed` as if it had been written so."""

    def change(file: Path) -> None:
        arrays = {key: getattr(HARM, key).copy() for key in rows.ARRAYS}
        arrays[name][position] = value
        blobs = [np.linspace(-1, 4, 6, dtype=np.float32).tobytes()]
        blobs += [array.tobytes() for array in arrays.values()]
        connection = sqlite3.connect(file)
        with connection:
            connection.execute(
                f"UPDATE units SET {name} = ?, crc32 = crc32 * ? + ? WHERE layer = 1",
                (arrays[name].tobytes(), 1 - sealed, rows.checksum(blobs) * sealed),
            )
        connection.close()

    return change


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_truncate, "graphs.sqlite is damaged (database disk image is malformed)"),
        (_overwrite, "graphs.sqlite is damaged (database disk image is malformed)"),
        (lambda file: file.write_bytes(b"no database" * 99), "is damaged (file is not a database)"),
        (
            _sql("PRAGMA user_version = 3"),
            "is a store of version 3, and this program reads",
        ),
        (_sql("PRAGMA application_id = 3"), "is an SQLite file, but no store of neuron graphs"),
        (_sql("DROP TABLE metrics"), "graphs.sqlite cannot be used (no such table: metrics)"),
        (_sql("DELETE FROM header WHERE name = 'model'"), "does not say what it is of"),
        (_sql("DELETE FROM metrics WHERE name = 'f1'"), "damaged at unit 1:4 (KeyError: 'f1')"),
        (_sql("UPDATE texts SET tokens = x'00'"), "damaged at unit 1:4 (ValueError: buffer size"),
        (_sql("UPDATE texts SET tokens = x'00000000'"), "text 1 has 1 tokens and 32 values"),
        (_sql("UPDATE units SET token = x'00'"), "its graph is not what was written"),
        (_array("importance", 3, 0.5, sealed=False), "its graph is not what was written"),
        (_array("parent", 3, 3), "a node comes before its parent"),
        (_array("importance", 3, float("nan")), "importance is not finite"),
        (_array("token", -1, 1 << 30), f"token {1 << 30} is not among the {len(WORDS)}"),
    ],
)
def test_damage_is_one_line(
    harm: Callable[[Path], None], message: str, whole: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copy(whole, tmp_path))
    harm(file)
    with pytest.raises(UserError, match=re.escape(message)) as error, Store.read(file) as read:
        list(read.records())
    assert "\n" not in str(error.value)
    assert "again" in str(error.value) or "the program that wrote it" in str(error.value)


def test_a_folder_without_a_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no graphs.sqlite; give the folder of a finished"):
        database.locate(tmp_path)
    with pytest.raises(UserError, match="cannot be used"):
        Store.read(tmp_path / "graphs.sqlite")
    assert not (tmp_path / "graphs.sqlite").exists()


def test_nothing_that_reads_a_store_unpickles() -> None:
    for module in (database, graph, rows, store):
        tree = ast.parse(inspect.getsource(module))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        imports = {
            alias.name for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
        }  # fmt: skip
        assert not (names | imports) & {"pickle", "dill", "joblib", "eval", "exec", "load", "torch"}


def test_a_graph_of_json_is_the_same(tmp_path: Path) -> None:
    with store_of(tmp_path, SEVERAL[0]) as read:
        found = read.record(Unit(1, 4)).graph
    assert found is not None
    assert NeuronGraph.from_json(found.to_json()).to_json() == HARM.to_json()
