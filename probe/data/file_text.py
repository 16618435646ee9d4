"""A user's texts, from a file."""

from pathlib import Path

from probe.config import Config
from probe.data.document import Document
from probe.data.files import read_rows
from probe.data.rows import column_texts


def load(config: Config) -> list[Document]:
    """Load a document from every non-empty row."""
    path = Path(str(config.data.path))
    column = "text" if path.suffix.lower() == ".txt" else config.data.column
    return [
        Document(f"{path.name}/{number}", text)
        for number, text in enumerate(column_texts(read_rows(path), column, str(path)))
        if text.strip()
    ]
