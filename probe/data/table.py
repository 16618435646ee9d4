"""A user's table: a text from every row by a template."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

from probe.config import Config
from probe.data.cells import cell_text, is_empty
from probe.data.document import EMPTY_CELL, Document, Documents, Label
from probe.data.formats import Row
from probe.data.rows import documents_of, origin
from probe.errors import UserError, nearest

logger = logging.getLogger(__name__)
# The literal text before a pair of braces, and the column in them, if there is one.
_Part = tuple[str, str | None]


def load(config: Config) -> Documents:
    """Load a document from every row whose cells in the templates are not empty.

    Its non-empty columns become labels.
    """
    data = config.data
    parts = _parts(data.template or "", "data.template")
    columns = dict.fromkeys(_columns(parts), "data.template")
    if not columns:
        raise UserError(
            f"data.template={data.template!r} names no column, so all texts would be the same; "
            "write a column's name in braces, e.g. {title}"
        )
    choices = [_parts(choice, "data.choices") for choice in data.choices or []]
    columns = {c: "data.choices" for choice in choices for c in _columns(choice)} | columns
    if data.answer is not None:
        columns.setdefault(data.answer, "data.answer")
    place = origin(data).rpartition("/")[2]

    def documents(rows: Iterable[Row]) -> Iterator[Document | str]:
        table = list(rows)
        _check_columns(columns, table, origin(data))
        incomplete = 0
        for number, row in enumerate(table):
            cells = {
                column: _cell(row.get(column), column, number, origin(data)) for column in columns
            }
            if all(text.strip() for text in cells.values()):
                listed = tuple(_fill(choice, cells) for choice in choices)
                answer = None
                if data.answer is not None:
                    answer = _answer(cells[data.answer], listed, number, origin(data))
                yield Document(
                    f"{place}/{number}", _fill(parts, cells), answer=answer, labels=_labels(row),
                    choices=listed,
                )  # fmt: skip
            else:
                incomplete += 1
                yield EMPTY_CELL
        if incomplete:
            logger.info("%d of %d rows left out: an empty cell", incomplete, len(table))

    return documents_of(data, documents)


def _columns(parts: list[_Part]) -> list[str]:
    return [column for _, column in parts if column is not None]


def _fill(parts: list[_Part], cells: Mapping[str, str]) -> str:
    return "".join(before + (cells[name] if name else "") for before, name in parts)


def _answer(cell: str, choices: Sequence[str], number: int, where: str) -> int:
    """Find the right choice by its text or, where no choice is that text, by its number."""
    numbers = [str(place) for place in range(len(choices))]
    for names in (choices, numbers):
        if cell in names:
            return list(names).index(cell)
    raise UserError(
        f"{where} has the answer {cell[:40]!r} in row {number + 1}; it must be one of the choices, "
        f"{', '.join(choice[:40] for choice in choices)}, or a number from 0 to {numbers[-1]}"
    )


def _parts(template: str, key: str) -> list[_Part]:
    """Parse a template, in which only plain column names may be in braces."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(
            f"{key}={template!r} is not a template: {error}; write columns in braces, and "
            "double the braces of the text"
        ) from None
    for _, column, form, conversion in parsed:
        if column is not None and (form or conversion or not column or column.isdigit()):
            raise UserError(
                f"{key}={template!r} has braces around something other than a column's "
                f"plain name ('{column}'{', formatted' if form or conversion else ''}); write e.g. "
                "{title}"
            )
    return [(before, column) for before, column, _, _ in parsed]


def _check_columns(columns: Mapping[str, str], table: list[Row], where: str) -> None:
    names = dict.fromkeys(name for row in table for name in row)
    for column, key in columns.items():
        if table and column not in names:
            hint = nearest(column, names) or f"; its columns are {', '.join(names)}"
            raise UserError(f"{key} names a column '{column}' that {where} lacks{hint}")


def _cell(value: Any, column: str, number: int, where: str) -> str:
    text = cell_text(value)
    if text is None:
        raise UserError(
            f"{where} has {type(value).__name__} in column '{column}' of row "
            f"{number + 1}; data.template accepts texts and numbers"
        )
    return text


def _labels(row: Row) -> dict[str, Label]:
    return {
        name: value if isinstance(value, str | float | bool | int) else str(value)
        for name, value in row.items()
        if not is_empty(value) and value != ""
    }
