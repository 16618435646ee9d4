"""Rows of a file of the user's: .txt, .jsonl, .csv or .parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe.errors import UserError

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


def split_files(path: Path, split: str, config: str | None) -> list[Path]:
    """Return the files of a split in a local copy.

    Parameters
    ----------
    path : Path
        A file, which is taken whole, or a folder laid out as on the Hub.
    split : str
        The split, with which a file's name begins.
    config : str, optional
        Configuration, the folder that such a file may lie in.

    Raises
    ------
    UserError
        If a folder has no file of the split.
    """
    if path.is_file():
        return [path]
    folders = [config, "data", "."] if config else ["data", "."]
    patterns = [f"{folder}/{split}-*.parquet".removeprefix("./") for folder in folders]
    for pattern in patterns:
        if files := sorted(path.glob(pattern)):
            return files
    raise UserError(
        f"data.path={path} has no {' or '.join(patterns)} for data.split={split}; "
        "give a file, or a folder laid out so"
    )


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
