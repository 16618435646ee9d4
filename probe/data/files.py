"""Rows of a file of the user's: .txt, .jsonl, .csv or .parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe.errors import UserError, nearest

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Read every row of a file; a .txt is one row with the column `text`.

    Raises
    ------
    UserError
        If the file's kind is unknown, it is not UTF-8, or a line is no JSON object.
    """
    readers = {".txt": _txt, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path} is none of {', '.join(readers)}; convert it, or give the file with its ending"
        )
    try:
        return list(reader(path))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from None


def read_column(path: Path, column: str) -> list[str]:
    """Read one column of texts, empty where a row has none.

    Raises
    ------
    UserError
        If a row has no such column, or it does not hold text.
    """
    texts = []
    for number, row in enumerate(read_rows(path), start=1):
        if column not in row:
            hint = nearest(column, row) or f"; its columns are {', '.join(row)}"
            raise UserError(f"{path} has no column '{column}' in row {number}{hint}")
        if not isinstance(row[column], str | None):
            kind = type(row[column]).__name__
            raise UserError(f"{path} holds {kind}, not text, in column '{column}' of row {number}")
        text = row[column] or ""
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UserError(
                f"{path} holds half of a surrogate pair, which is no text, in column '{column}' of "
                f"row {number}; leave it out"
            )
        texts.append(text)
    return texts


def _text(path: Path) -> str:
    """Whole, so that a wrong byte is counted from the file's start; without a byte-order mark."""
    return path.read_bytes().decode("utf-8-sig")


def _txt(path: Path) -> Iterator[Row]:
    yield {"text": io.StringIO(_text(path), newline=None).read()}


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path} line {number} is no JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path} line {number} is no JSON object")
            yield row


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with io.StringIO(_text(path), newline="") as lines:
        for row in csv.DictReader(lines):
            row.pop(None, None)  # cells beyond the header
            yield dict(row)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path} is no parquet file: {str(error).splitlines()[0]}") from None
    yield from table.to_pylist()
