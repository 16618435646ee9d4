"""A user's texts, from a file, a folder or a pattern of files."""

from collections.abc import Iterator

from probe.config import Config
from probe.data.document import NO_TEXT, Document, Documents
from probe.data.files import read_path
from probe.data.rows import collected, column_texts


def load(config: Config) -> Documents:
    """Load a document from every non-empty row."""

    def documents() -> Iterator[Document | str]:
        path = config.data.path
        for file, rows in read_path(config.data):
            where = f"{path}" if str(path).endswith(file) else f"{file} in {path}"
            for number, text in enumerate(column_texts(rows, config.data.column, where)):
                yield Document(f"{file}/{number}", text) if text.strip() else NO_TEXT

    return collected(documents())
