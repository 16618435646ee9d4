"""Raw texts with their labels: one module per data set, one registry."""

from collections.abc import Callable

from probe.config import Config, data_name
from probe.data import (
    file_text,
    hub_text,
    mmlu,
    mmlu_pro,
    sample,
    table,
    tasks,
    truthfulqa,
    wikitext,
)
from probe.data.document import Document, Documents, Stream, fingerprint, named
from probe.errors import UserError, nearest

# A new reader: a module with `load(config)`, a line here, a YAML in conf/data. Data sets with text
# in every row need only the YAML, with `source: hub`.
SOURCES: dict[str, Callable[[Config], Documents]] = {
    "hub": hub_text.load,
    "mbpp": hub_text.load,
    "mmlu": mmlu.load,
    "mmlu_pro": mmlu_pro.load,
    "openwebtext": hub_text.load,
    "sample": sample.load,
    "table": table.load,
    "tasks": tasks.load,
    "text": file_text.load,
    "truthfulqa": truthfulqa.load,
    "wikitext": wikitext.load,
}


def load_documents(config: Config) -> Documents:
    """Load the documents of a data set; with `data.streaming` they are read lazily.

    Raises
    ------
    UserError
        If the source is unknown, the data cannot be read, or the chosen part of it is empty.
    """
    source = config.data.source
    if source not in SOURCES:
        hint = nearest(source, SOURCES) or f"; choose from {', '.join(SOURCES)}"
        raise UserError(f"data.source={source} is unknown{hint}")
    documents = SOURCES[source](config)
    # To know whether a stream is empty, its first file would be read twice.
    empty = not isinstance(documents, Stream) and not documents
    if empty and config.subject is not None:
        raise UserError(
            f"subject={config.subject.name} has no texts in data={data_name(config.data)}; "
            "use another subject or subject=all"
        )
    if empty:
        raise UserError(f"data={data_name(config.data)} has no non-empty text")
    return documents
