"""Texts from a column of rows."""

from collections.abc import Iterable, Iterator

from probe.data.files import Row
from probe.errors import UserError, nearest


def column_texts(rows: Iterable[Row], column: str, where: str) -> Iterator[str]:
    """Yield a column's text of every row, empty if a row has none.

    Parameters
    ----------
    rows : iterable of dict
        Rows by column.
    column : str
        The column.
    where : str
        Where the rows come from, for errors.

    Raises
    ------
    UserError
        If a row lacks the column, or has no text in it.

    Examples
    --------
    >>> list(column_texts([{"body": "one"}, {"body": None}], "body", "mine.csv"))
    ['one', '']
    """
    for number, row in enumerate(rows, start=1):
        if column not in row:
            hint = nearest(column, row) or f"; its columns are {', '.join(row)}"
            raise UserError(f"{where} has no column '{column}' in row {number}{hint}")
        if not isinstance(row[column], str | None):
            raise UserError(
                f"{where} has {type(row[column]).__name__}, not text, in column '{column}' of "
                f"row {number}{_text_columns(row)}"
            )
        text = row[column] or ""
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UserError(
                f"{where} has half of a surrogate pair, which is not text, in column '{column}' "
                f"of row {number}; remove it"
            )
        yield text


def _text_columns(row: Row) -> str:
    names = [name for name, value in row.items() if isinstance(value, str)]
    return f"; text is in {', '.join(names)}" if names else "; none of its columns has text"
