"""Rows of a user's file: .txt, .jsonl, .csv or .parquet."""

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
        If the file does not exist, its kind is unknown, it is not UTF-8 text, or a line is invalid.
    """
    if not path.is_file():  # a named pipe would be waited for
        what = "is a folder" if path.is_dir() else "is not a regular file"
        what = what if path.exists() else "does not exist"
        raise UserError(f"{path} {what}; give a .txt, .jsonl, .csv or .parquet file")
    readers = {".txt": _txt, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path} is not one of {', '.join(readers)}; convert it or correct its extension"
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
        A file, used as a whole, or a folder laid out as on the Hub.
    split : str
        The split, with which the files' names begin.
    config : str, optional
        Configuration, the folder that the files may be in.

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
        "give a file, or a folder with that layout"
    )


def matching(folder: Path, pattern: str) -> list[Path]:
    """List the files that match a pattern; none if the pattern is invalid."""
    try:
        return sorted(folder.glob(pattern))
    except (NotImplementedError, ValueError, OSError):  # absolute, or malformed
        return []


def _text(path: Path) -> str:
    """Decode a whole file, so that errors count from its start, without a byte-order mark."""
    content = path.read_bytes()
    if (place := content.find(b"\0")) >= 0:  # UTF-16 of English is valid UTF-8 with zeros
        raise UserError(f"{path} is not UTF-8 text (zero byte at byte {place})")
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
                    f"{path} line {number} is not JSON: {error.msg.removesuffix(' at')} "
                    f"at column {error.colno}"
                ) from None
            except (RecursionError, ValueError):  # too deep, or a number of too many digits
                raise UserError(f"{path} line {number} has JSON that cannot be read") from None
            if not isinstance(row, dict):
                raise UserError(f"{path} line {number} is not a JSON object")
            yield row


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with io.StringIO(_text(path), newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            duplicates = [name for name in header if name and header.count(name) > 1]
            if duplicates:
                raise UserError(f"{path} has the column '{duplicates[0]}' twice; rename one")
            for cells in reader:
                if any(cells[len(header) :]) or 0 < len(cells) < len(header):
                    raise UserError(
                        f"{path} line {reader.line_num} has {len(cells)} cells and the header "
                        f"{len(header)}; quote cells that contain commas"
                    )
                if cells:
                    yield dict(zip(header, cells, strict=False))
        except csv.Error as error:
            raise UserError(f"{path} line {reader.line_num} is not valid csv: {error}") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is not a parquet file: {reason}") from None
    yield from rows
