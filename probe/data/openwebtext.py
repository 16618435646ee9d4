"""OpenWebText: web pages that Reddit users linked to (10,000 of them on the Hub)."""

from __future__ import annotations

from pathlib import Path

from probe.config import Config
from probe.data.document import Document
from probe.data.files import read_column
from probe.data.hub import read_hub


def load(config: Config) -> list[Document]:
    """Load the documents that are not empty."""
    data = config.data
    if data.path is not None:
        texts = read_column(Path(data.path), data.column)
    else:
        texts = [row[data.column] for row in read_hub(data)]
    return [Document(f"openwebtext/{i}", text) for i, text in enumerate(texts) if text.strip()]
