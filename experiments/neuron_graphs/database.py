"""The file of a store: made, opened, of this version, and whatever is wrong with it in one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path

from experiments.neuron_graphs.normalise import Vocabulary
from experiments.neuron_graphs.records import Header
from experiments.neuron_graphs.visible import word
from probe.api import UserError

STORE = "graphs.sqlite"
VERSION = 2
# "NGph": the file says what it is, as SQLite has it.
_APPLICATION = 0x4E477068
_TABLES = Path(__file__).with_name("tables.sql")
AGAIN = "run the study again with overwrite=true"


def locate(run: Path) -> Path:
    """Return the store of a study's folder.

    Raises
    ------
    UserError
        If the folder has none.
    """
    if run.is_file():
        return run
    if not (run / STORE).is_file():
        raise UserError(
            f"{run} has no {STORE}; give the folder of a finished python -m "
            "experiments.neuron_graphs"
        )
    return run / STORE


def create(
    header: Header, vocabulary: Vocabulary, file: str | Path = ":memory:"
) -> sqlite3.Connection:
    """Make an empty store."""
    texts = [text.encode("utf-8", "backslashreplace").decode() for text in vocabulary.texts]
    tokens = (
        (number, int(same), text, word(text))
        for number, (same, text) in enumerate(zip(vocabulary.classes, texts, strict=True))
    )
    with damage(Path(file)):
        connection = sqlite3.connect(file)
        connection.executescript(_TABLES.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        with connection:
            connection.executemany("INSERT INTO header VALUES (?, ?)", asdict(header).items())
            connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", tokens)
    return connection


def connect(file: Path, writable: bool = False) -> sqlite3.Connection:
    """Open a store.

    Raises
    ------
    UserError
        If it is no store, damaged, or of another version.
    """
    address = f"{file.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    with damage(file):
        connection = sqlite3.connect(address, uri=True)
        application, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
    if application != _APPLICATION:
        raise UserError(f"{file} is an SQLite file, but no store of neuron graphs; {AGAIN}")
    if version != VERSION:
        raise UserError(
            f"{file} is a store of version {version}, and this program reads version {VERSION}; "
            f"use the program that wrote it, or {AGAIN}"
        )
    return connection


def read_header(connection: sqlite3.Connection, file: Path) -> Header:
    """Return what a store is of."""
    with damage(file):
        named = dict(connection.execute("SELECT name, value FROM header"))
    if named.keys() != {field.name for field in fields(Header)}:
        raise UserError(f"{file} is damaged (it does not say what it is of); {AGAIN}")
    return Header(**{**named, "fire": float(named["fire"])})


@contextmanager
def damage(file: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into a `UserError`.

    Raises
    ------
    UserError
        If the file cannot be read, or is not what was written.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UserError(
            f"{file} cannot be used ({error}); if no other process is writing it, {AGAIN}"
        ) from None
    except sqlite3.DatabaseError as error:
        raise UserError(f"{file} is damaged ({error}); {AGAIN}") from None
