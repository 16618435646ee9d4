"""What is known of the text that an example was cut from."""

from __future__ import annotations

from collections.abc import Iterator

from probe.api import Config, Document


class Documents:
    """Documents by their names, read no further than asked for, as a stream may have no end.

    Parameters
    ----------
    config : Config
        Its `data` and `subject` say which documents.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rest: Iterator[Document] | None = None
        self._known: dict[str, Document] = {}

    def __getitem__(self, name: str) -> Document:
        """Return the document of which an example has the name."""
        if self._rest is None:
            from probe.api.parts import load_documents

            self._rest = iter(load_documents(self._config))
        while name not in self._known:
            document = next(self._rest)
            self._known[document.name] = document
        return self._known[name]

    def group(self, name: str) -> str:
        """Return what a document must share its part of a split with: its question, or itself."""
        document = self[name]
        return document.group or document.name
