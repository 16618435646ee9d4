"""Data sets with a text in every row: OpenWebText, MBPP, and any other on the Hub."""

from collections.abc import Iterable, Iterator

from probe.config import Config
from probe.data.document import NO_TEXT, Document, Documents
from probe.data.formats import Row
from probe.data.rows import column_texts, documents_of, origin


def load(config: Config) -> Documents:
    """Load a document from the column `data.column` of every row where it is not empty."""
    data = config.data
    place = data.id.rpartition("/")[2] if data.source == "hub" and data.id else data.source

    def documents(rows: Iterable[Row]) -> Iterator[Document | str]:
        for number, text in enumerate(column_texts(rows, data.column, origin(data))):
            yield Document(f"{data.name or place}/{number}", text) if text.strip() else NO_TEXT

    return documents_of(data, documents)
