"""The documents that examples were cut from."""

from collections.abc import Iterator

from probe.api import Config, Document


class Documents:
    """Documents by name, read only as far as needed, as a stream may be endless.

    Parameters
    ----------
    config : Config
        Its `data` and `subject` select the documents.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rest: Iterator[Document] | None = None
        self._read: dict[str, Document] = {}

    def __getitem__(self, name: str) -> Document:
        """Return the document that an example names."""
        if self._rest is None:
            from probe.api.parts import load_documents

            self._rest = iter(load_documents(self._config))
        while name not in self._read:
            document = next(self._rest)
            self._read[document.name] = document
        return self._read[name]

    def group(self, name: str) -> str:
        """Return the group that must not be split: the document's question, or the document."""
        document = self[name]
        return document.group or document.name
