"""From rows, in a file or on the Hub, to texts and documents."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from tqdm import tqdm

from probe.config import DataConfig
from probe.data.cells import is_empty
from probe.data.document import Document, DocumentList, Documents, Stream, only_documents
from probe.data.files import read_path
from probe.data.formats import Row
from probe.data.hub import read_hub
from probe.errors import UserError, nearest


def origin(data: DataConfig) -> str:
    """Name the origin of the rows.

    Examples
    --------
    >>> origin(DataConfig(id="org/name", split="train"))
    'data org/name'
    """
    return data.path if data.path is not None else f"data {data.id}"


def collected(made: Iterable[Document | str]) -> DocumentList:
    """Return the documents, with the numbers of rows that made none by reason.

    Examples
    --------
    >>> collected([Document("a/0", "one"), "no text"]).skipped
    Counter({'no text': 1})
    """
    skipped: Counter[str] = Counter()
    documents = list(only_documents(made, skipped))
    return DocumentList(documents, skipped)


def documents_of(
    data: DataConfig, make: Callable[[Iterable[Row]], Iterator[Document | str]]
) -> Documents:
    """Make documents of the rows in `data.path` or on the Hub.

    Parameters
    ----------
    data : DataConfig
        The data set.
    make : callable
        Makes documents of rows; yields, in the place of a document, why a row makes none.

    Returns
    -------
    list of Document or Stream
        A stream if `data.streaming`; its rows are read only as needed.

    Raises
    ------
    UserError
        If the rows cannot be loaded or are invalid.
    """
    if data.path is not None:
        return collected(make(row for _, rows in read_path(data) for row in rows))
    read, commit = read_hub(data)
    if data.streaming:
        return Stream(lambda: make(read()), f"{data.id} at commit {commit}")
    return collected(make(tqdm(read(), "read", disable=None, leave=False, delay=2)))


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
        if not isinstance(row[column], str) and not is_empty(row[column]):
            raise UserError(
                f"{where} has {type(row[column]).__name__}, not text, in column '{column}' of "
                f"row {number}{_text_columns(row)}"
            )
        text = "" if is_empty(row[column]) else row[column]
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UserError(
                f"{where} has half of a surrogate pair, which is not text, in column '{column}' "
                f"of row {number}; remove it"
            )
        yield text


def _text_columns(row: Row) -> str:
    names = [name for name, value in row.items() if isinstance(value, str)]
    return f"; text is in {', '.join(names)}" if names else "; none of its columns has text"
