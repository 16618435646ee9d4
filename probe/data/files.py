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
        If there is no such file, its kind is unknown, it is not text in UTF-8, or a line of it is
        not what it should be.
    """
    if not path.is_file():  # a named pipe would be waited for
        what = "a folder" if path.is_dir() else "not there" if not path.exists() else "no file"
        raise UserError(f"{path} is {what}; give a .txt, .jsonl, .csv or .parquet file")
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
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


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
    if not path.is_dir():
        return [path]
    folders = [config, "data", "."] if config else ["data", "."]
    patterns = [f"{folder}/{split}-*.parquet".removeprefix("./") for folder in folders]
    for pattern in patterns:
        if files := matching(path, pattern):
            return files
    raise UserError(
        f"data.path={path} has no {' or '.join(patterns)} for data.split={split}; "
        "give a file, or a folder laid out so"
    )


def matching(folder: Path, pattern: str) -> list[Path]:
    """List the files that match a pattern; none where it is no pattern."""
    try:
        return sorted(folder.glob(pattern))
    except (NotImplementedError, ValueError, OSError):  # absolute, or malformed
        return []


def _text(path: Path) -> str:
    """Whole, so that a wrong byte is counted from the file's start; without a byte-order mark."""
    content = path.read_bytes()
    if (place := content.find(b"\0")) >= 0:  # UTF-16 of English is valid UTF-8, with every other 0
        raise UserError(f"{path} is not UTF-8 text (a byte of zero at byte {place})")
    return content.decode("utf-8-sig")


def _txt(path: Path) -> Iterator[Row]:
    yield {"text": io.StringIO(_text(path), newline=None).read()}


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path} line {number} is no JSON: {error.msg.removesuffix(' at')} "
                    f"at column {error.colno}"
                ) from None
            except (RecursionError, ValueError):  # too deep, or a number of too many digits
                raise UserError(f"{path} line {number} holds JSON that cannot be read") from None
            if not isinstance(row, dict):
                raise UserError(f"{path} line {number} is no JSON object")
            yield row


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with io.StringIO(_text(path), newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            twice = [name for name in header if name and header.count(name) > 1]
            if twice:
                raise UserError(f"{path} has the column '{twice[0]}' twice; rename one")
            for cells in reader:
                if any(cells[len(header) :]) or 0 < len(cells) < len(header):
                    raise UserError(
                        f"{path} line {reader.line_num} has {len(cells)} cells and the header "
                        f"{len(header)}; put cells with commas in quotes"
                    )
                if cells:
                    yield dict(zip(header, cells, strict=False))
        except csv.Error as error:
            raise UserError(f"{path} line {reader.line_num} is no csv: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is no parquet file: {reason}") from None
    yield from rows
