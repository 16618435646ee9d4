"""OpenWebText: web pages that Reddit users linked to (10,000 of them on the Hub)."""

from __future__ import annotations

from pathlib import Path

from probe.config import Config
from probe.data.document import Document
from probe.data.files import read_column
from probe.data.hub import read_hub
from probe.errors import UserError, nearest


def load(config: Config) -> list[Document]:
    """Load the documents that are not empty."""
    data = config.data
    if data.path is not None:
        texts = read_column(Path(data.path), data.column)
    else:
        rows = read_hub(data)
        if rows and data.column not in rows[0]:
            hint = nearest(data.column, rows[0]) or f"; its columns are {', '.join(rows[0])}"
            raise UserError(f"data {data.id} has no column '{data.column}'{hint}")
        texts = [row[data.column] or "" for row in rows]
    return [Document(f"openwebtext/{i}", text) for i, text in enumerate(texts) if text.strip()]
