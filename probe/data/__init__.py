"""Raw texts with their labels: one module for every data set, one registry."""

from __future__ import annotations

from collections.abc import Callable

from probe.config import Config, data_name
from probe.data import mmlu, openwebtext, sample, text
from probe.data.document import Document, fingerprint
from probe.errors import UserError, nearest

__all__ = ["SOURCES", "Document", "fingerprint", "load_documents"]

# A new reader: a module with `load(config)`, a line here, a YAML in conf/data.
SOURCES: dict[str, Callable[[Config], list[Document]]] = {
    "mmlu": mmlu.load,
    "openwebtext": openwebtext.load,
    "sample": sample.load,
    "text": text.load,
}


def load_documents(config: Config) -> list[Document]:
    """Load the documents of a data set.

    Raises
    ------
    UserError
        If the source is unknown, the data cannot be read, or the chosen part of it is empty.
    """
    source = config.data.source
    if source not in SOURCES:
        hint = nearest(source, SOURCES) or f"; there are {', '.join(SOURCES)}"
        raise UserError(f"data.source={source} is unknown{hint}")
    documents = SOURCES[source](config)
    if not documents and config.subject is not None:
        raise UserError(
            f"subject={config.subject.name} has no texts in data={data_name(config.data)}; "
            "take another subject or subject=all"
        )
    if not documents:
        raise UserError(f"data={data_name(config.data)} has no text that is not empty")
    return documents
