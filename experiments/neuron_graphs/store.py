"""The store of a study: units with their graphs, scores and texts in one SQLite file."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.database import AGAIN, connect, create, damage, read_header
from experiments.neuron_graphs.normalise import Vocabulary
from experiments.neuron_graphs.records import Header, Record
from experiments.neuron_graphs.rows import (
    UNIT_COLUMNS,
    example_rows,
    metrics,
    posting_rows,
    record_of,
    unit_row,
)
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, atomic_write

_COLUMNS = ", ".join(UNIT_COLUMNS)


class Store:
    """Units of one model, their graphs and all that is known of them.

    Parameters
    ----------
    connection : sqlite3.Connection
        The open file.
    file : Path
        Where it is.
    """

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self.connection, self.file = connection, file
        self.header = read_header(connection, file)

    @classmethod
    def create(cls, file: Path, header: Header, vocabulary: Vocabulary) -> "Store":
        """Make a store, or go on with the one that is there.

        Raises
        ------
        UserError
            If there is one that is damaged, or of another model, other texts or another version.
        """
        if file.exists():
            store = cls(connect(file, writable=True), file)
            store._check(header)
            return store
        with atomic_write(file) as unfinished:
            create(header, vocabulary, unfinished).close()
        return cls(connect(file, writable=True), file)

    @classmethod
    def read(cls, file: Path) -> "Store":
        """Open a store to read it.

        Raises
        ------
        UserError
            If it is damaged, no store, or of another version.
        """
        return cls(connect(file), file)

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query.

        Raises
        ------
        UserError
            If the file is damaged.
        """
        with damage(self.file):
            return self.connection.execute(query, tuple(values)).fetchall()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the model."""
        rows = self.rows("SELECT label, class FROM tokens ORDER BY id")
        return Vocabulary(
            tuple(text for text, _ in rows), np.array([same for _, same in rows], np.int32),
            self.header.normalise,
        )  # fmt: skip

    def has(self, unit: Unit) -> bool:
        """Say whether a unit is there, with a graph or the reason why it has none."""
        return bool(self._numbers(unit))

    def number(self, unit: Unit) -> int:
        """Return the number of a unit in the tables.

        Raises
        ------
        UserError
            If it is not there.
        """
        numbers = self._numbers(unit)
        if numbers:
            return numbers[0]
        neurons = self.rows("SELECT neuron FROM units WHERE layer = ?", (unit.layer,))
        if neurons:
            have = f"layer {unit.layer} has {len(neurons)} units, {neurons[0][0]} among them"
        else:
            layers = self.rows("SELECT DISTINCT layer FROM units ORDER BY layer")
            have = f"its layers are {', '.join(str(layer) for (layer,) in layers) or 'none'}"
        raise UserError(f"{self.file} has no unit {unit}; {have}")

    def units(self) -> set[Unit]:
        """Return all units that are there."""
        return set(self.numbered().values())

    def numbered(self) -> dict[int, Unit]:
        """Return all units by their number in the tables, in the order of units."""
        rows = self.rows("SELECT id, layer, neuron, sign FROM units ORDER BY layer, neuron, -sign")
        return {number: Unit(*unit) for number, *unit in rows}

    def add(self, records: Iterable[Record]) -> None:
        """Add units, all or none of them; they are on disk when this returns.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        with damage(self.file), self.connection:
            for record in records:
                assert not self.has(record.unit), f"{record.unit} is already there"
                self._add(record)

    def record(self, unit: Unit) -> Record:
        """Return all that is kept of a unit; activations of texts to three digits.

        Raises
        ------
        UserError
            If the unit is not there, or what is kept of it is damaged.
        """
        return self._record(self.number(unit), unit)

    def records(self) -> Iterator[Record]:
        """Return every unit, in their order."""
        for number, unit in self.numbered().items():
            yield self._record(number, unit)

    def texts(self) -> dict[int, NDArray[np.int32]]:
        """Return the tokens of all texts that are kept, by number of the example."""
        rows = self.rows("SELECT example, tokens FROM texts ORDER BY example")
        return {example: np.frombuffer(tokens, np.int32) for example, tokens in rows}

    def _check(self, header: Header) -> None:
        for name, wanted in asdict(header).items():
            found = getattr(self.header, name)
            if found != wanted:
                raise UserError(
                    f"{self.file} is of {name} {found}, and these graphs are of {name} {wanted}; "
                    f"move it to keep it, or {AGAIN}"
                )

    def _numbers(self, unit: Unit) -> list[int]:
        found = self.rows(
            "SELECT id FROM units WHERE layer = ? AND neuron = ? AND sign = ?",
            (unit.layer, unit.neuron, unit.sign),
        )
        return [number for (number,) in found]

    def _add(self, record: Record) -> None:
        row = unit_row(record)
        places = ", ".join("?" * len(row))
        number = self.connection.execute(
            f"INSERT INTO units ({_COLUMNS}) VALUES ({places})", row
        ).lastrowid
        texts = {
            text.example: (text.example, text.document, np.asarray(text.tokens, np.int32).tobytes())
            for text in record.texts
        }
        for query, rows in (
            ("metrics VALUES (?, ?, ?)", metrics(record.scores, record.cost).items()),
            ("examples VALUES (?, ?, ?, ?, ?)", example_rows(record)),
            (
                "postings (unit, token, role, weight, depth) VALUES (?, ?, ?, ?, ?)",
                posting_rows(record.graph, self.header),
            ),
        ):
            self.connection.executemany(f"INSERT INTO {query}", ((number, *row) for row in rows))
        # A text activates many units, and is kept once.
        self.connection.executemany(
            "INSERT OR IGNORE INTO texts VALUES (?, ?, ?)", list(texts.values())
        )

    def _record(self, number: int, unit: Unit) -> Record:
        row = self.rows(f"SELECT {_COLUMNS} FROM units WHERE id = ?", (number,))[0]
        named = dict(self.rows("SELECT name, value FROM metrics WHERE unit = ?", (number,)))
        texts = self.rows(
            "SELECT example, document, tokens, held_out, shares FROM examples "
            "JOIN texts USING (example) WHERE unit = ? ORDER BY place",
            (number,),
        )
        try:
            return record_of(row, named, texts, len(self.vocabulary.labels))
        except UserError as error:
            raise UserError(f"{self.file} is damaged at unit {unit} ({error}); {AGAIN}") from None
