"""Rows of one file: .txt, .jsonl, .json, .csv, .tsv or .parquet; all but the last also gzipped."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probe.errors import UserError

Row = dict[str, Any]
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def ending(path: Path) -> str | None:
    """Return the ending of a file that can be read, without .gz; None for another file.

    Examples
    --------
    >>> ending(Path("mine.JSONL.gz")), ending(Path("mine.docx")), ending(Path("mine.parquet.gz"))
    ('.jsonl', None, None)
    """
    *_, before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    if last == ".gz":
        return before if before in _READERS else None
    return last if last in _READERS or last == ".parquet" else None


def read_file(path: Path) -> list[Row]:
    """Read every row of a file; a .txt is one row with the column `text`.

    Raises
    ------
    UserError
        If its kind is unknown, it is not UTF-8 text, or a line is invalid.
    """
    kind = ending(path)
    if kind is None:
        raise UserError(f"{path} is not one of {KINDS}; convert it or correct its extension")
    try:
        if kind == ".parquet":
            return _parquet(path)
        return list(_READERS[kind](path, _text(path)))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error})") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


def _text(path: Path) -> str:
    """Decode a whole file, so that errors count from its start, without a byte-order mark."""
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        content = gzip.decompress(content)
    if (place := content.find(b"\0")) >= 0:  # UTF-16 of English is valid UTF-8 with zeros
        raise UserError(f"{path} is not UTF-8 text (zero byte at byte {place})")
    return content.decode("utf-8-sig")


def _txt(_: Path, text: str) -> Iterator[Row]:
    yield {"text": io.StringIO(text, newline=None).read()}


def _jsonl(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(_parsed(line, f"{path} line {number}"), f"{path} line {number}")


def _json(path: Path, text: str) -> Iterator[Row]:
    """Yield the objects of a list, or of a list that is an object's only value; or of lines."""
    if not text.strip():
        return
    try:
        content = _parsed(text, str(path))
    except UserError:
        if text.strip().count("\n") == 0 or not _starts_with_a_line(text):
            raise
        yield from _jsonl(path, text)
        return
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        of_objects = len(lists) == 1 and all(isinstance(row, dict) for row in lists[0])
        content = lists[0] if of_objects and len(content) == 1 else [content]
    if not isinstance(content, list):
        raise UserError(f"{path} is neither a JSON list nor an object")
    for number, row in enumerate(content, start=1):
        yield {"text": row} if isinstance(row, str) else _object(row, f"{path} row {number}")


def _starts_with_a_line(text: str) -> bool:
    try:
        return isinstance(json.loads(text.lstrip().partition("\n")[0]), dict)
    except (ValueError, RecursionError):
        return False


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if "\n" in text.strip() else ""
        raise UserError(
            f"{where} is not JSON: {error.msg.removesuffix(' at')} at {line}column {error.colno}"
        ) from None
    except (RecursionError, ValueError):  # too deep, or a number of too many digits
        raise UserError(f"{where} has JSON that cannot be read") from None


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object")
    return row


def _csv(path: Path, text: str) -> Iterator[Row]:
    yield from _separated(path, text, _delimiter(text))


def _tsv(path: Path, text: str) -> Iterator[Row]:
    yield from _separated(path, text, "\t")


def _delimiter(text: str) -> str:
    """Return what separates the header's cells; of several that could, one that fits all rows."""
    possible = [sign for sign in _DELIMITERS if _n_columns(text, sign) > 1]
    if len(possible) > 1:
        possible = [sign for sign in possible if _fits(text, sign)] or possible
    return possible[0] if possible else ","


def _n_columns(text: str, delimiter: str) -> int:
    csv.field_size_limit(1 << 30)
    try:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
    except csv.Error:
        return 0


def _fits(text: str, delimiter: str) -> bool:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = len(next(rows, []))
        return all(len(cells) == header for cells in rows if cells)
    except csv.Error:
        return False


def _separated(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with io.StringIO(text, newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            duplicates = [name for name in header if name and header.count(name) > 1]
            if duplicates:
                raise UserError(f"{path} has the column '{duplicates[0]}' twice; rename one")
            for cells in reader:
                if any(cells[len(header) :]) or 0 < len(cells) < len(header):
                    raise UserError(
                        f"{path} line {reader.line_num} has {len(cells)} cells and the header "
                        f"{len(header)}; quote cells that contain {_DELIMITERS[delimiter]}"
                    )
                if cells:
                    yield dict(zip(header, cells, strict=False))
        except csv.Error as error:
            kind = "tsv" if delimiter == "\t" else "csv"
            raise UserError(f"{path} line {reader.line_num} is not valid {kind}: {error}") from None


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        rows: list[Row] = table.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is not a parquet file: {reason}") from None
    return rows


_READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
}
# Those of before are named first.
KINDS = ".txt, .jsonl, .csv, .parquet, .json, .tsv"
