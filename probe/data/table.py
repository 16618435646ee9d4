"""A user's table: a text from every row by a template."""

import logging
from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Any

from probe.config import Config
from probe.data.document import Document, Documents, Label
from probe.data.files import Row
from probe.data.rows import documents_of, origin
from probe.errors import UserError, nearest

logger = logging.getLogger(__name__)
# The literal text before a pair of braces, and the column in them, if there is one.
_Part = tuple[str, str | None]


def load(config: Config) -> Documents:
    """Load a document from every row whose cells in `data.template` are not empty.

    Its non-empty columns become labels.
    """
    data = config.data
    parts = _parts(data.template or "")
    columns = [column for _, column in parts if column is not None]
    place = origin(data).rpartition("/")[2]

    def documents(rows: Iterable[Row]) -> Iterator[Document]:
        table = list(rows)
        _check_columns(columns, table, origin(data))
        incomplete = 0
        for number, row in enumerate(table):
            cells = {
                column: _cell(row.get(column), column, number, origin(data)) for column in columns
            }
            if all(text.strip() for text in cells.values()):
                text = "".join(before + (cells[name] if name else "") for before, name in parts)
                yield Document(f"{place}/{number}", text, labels=_labels(row))
            else:
                incomplete += 1
        if incomplete:
            logger.info("%d of %d rows left out: an empty cell", incomplete, len(table))

    return documents_of(data, documents)


def _parts(template: str) -> list[_Part]:
    """Parse a template, in which only plain column names may be in braces."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(
            f"data.template={template!r} is not a template: {error}; write columns in braces, and "
            "double the braces of the text"
        ) from None
    for _, column, form, conversion in parsed:
        if column is not None and (form or conversion or not column or column.isdigit()):
            raise UserError(
                f"data.template={template!r} has braces around something other than a column's "
                f"plain name ('{column}'{', formatted' if form or conversion else ''}); write e.g. "
                "{title}"
            )
    parts = [(before, column) for before, column, _, _ in parsed]
    if all(column is None for _, column in parts):
        raise UserError(
            f"data.template={template!r} names no column, so all texts would be the same; "
            "write a column's name in braces, e.g. {title}"
        )
    return parts


def _check_columns(columns: list[str], table: list[Row], where: str) -> None:
    names = dict.fromkeys(name for row in table for name in row)
    for column in columns:
        if table and column not in names:
            hint = nearest(column, names) or f"; its columns are {', '.join(names)}"
            raise UserError(f"data.template names a column '{column}' that {where} lacks{hint}")


def _cell(value: Any, column: str, number: int, where: str) -> str:
    if isinstance(value, list | dict):
        raise UserError(
            f"{where} has {type(value).__name__} in column '{column}' of row "
            f"{number + 1}; data.template accepts texts and numbers"
        )
    return "" if value is None else str(value)


def _labels(row: Row) -> dict[str, Label]:
    return {
        name: value if isinstance(value, str | float | bool | int) else str(value)
        for name, value in row.items()
        if value is not None and value != ""
    }
