"""A raw text with its labels, before tokenization."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Label = str | float | bool


@dataclass(frozen=True, slots=True)  # there may be many
class Document:
    """A raw text.

    Attributes
    ----------
    name : str
        Where it comes from, e.g. `high_school_psychology/17`; used in error messages.
    text : str
        The text.
    subject : str, optional
        Its subject.
    answer : int, optional
        Index of a question's correct choice, from 0.
    turns : tuple of (str, str)
        Role and content of each turn, used instead of the text with a chat template; empty if the
        text is not a conversation.
    labels : mapping
        Other properties, e.g. whether an answer is correct, or the columns of a table.
    group : str, optional
        What texts that must be in the same half share, such as the question of several answers;
        by default the document's own name.
    choices : tuple of str
        Texts of a question's choices, empty if it has none. The text, the labels or the
        configuration say them, too, so that the fingerprint leaves them out and is that of
        earlier versions.
    parts : tuple of (str, str)
        Name and wording of the parts of the text that are known, such as `question` and `answer`,
        in their order; left out of the fingerprint likewise.
    ids : tuple of int
        Token ids that are read in place of the text and the turns, if there are any: those of a
        text that a model continued, whose words another tokenization could change.
    spans : mapping of str to (int, int)
        For each part of `ids` that is known, its first token, and the one behind its last.
    """

    name: str
    text: str
    subject: str | None = None
    answer: int | None = None
    turns: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, Label] = field(default_factory=dict, hash=False)
    group: str | None = None
    choices: tuple[str, ...] = field(default=(), repr=False)
    parts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ids: tuple[int, ...] = field(default=(), repr=False)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False, repr=False)


class DocumentList(list[Document]):
    """Documents, and how many rows made none, by reason."""

    def __init__(
        self, documents: Iterable[Document] = (), skipped: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(documents)
        self.skipped: Counter[str] = Counter(skipped or {})


@dataclass(frozen=True)
class Stream:
    """Documents that are read lazily, from the beginning at each iteration.

    Attributes
    ----------
    read : callable
        Starts reading; yields, in the place of a document, why a row makes none.
    content : str
        Identifies the content, which is never read completely, e.g. the Hub's commit.
    skipped : Counter
        Rows of those read that made no document, by reason.
    """

    read: Callable[[], Iterator[Document | str]]
    content: str
    skipped: Counter[str] = field(default_factory=Counter, compare=False)

    def __iter__(self) -> Iterator[Document]:
        """Read from the beginning."""
        self.skipped.clear()
        return only_documents(self.read(), self.skipped)


def only_documents(made: Iterable[Document | str], skipped: Counter[str]) -> Iterator[Document]:
    """Yield the documents, and count the rows that made none by reason."""
    for one in made:
        if isinstance(one, str):
            skipped[one] += 1
        else:
            yield one


Documents = list[Document] | Stream
NO_TEXT, EMPTY_CELL = "no text", "an empty cell"


def named(documents: Iterable[Document], names: Collection[str]) -> dict[str, Document]:
    """Return the documents of some names, read only as far as needed: a stream may be endless."""
    found: dict[str, Document] = {}
    for document in documents:
        if document.name in names:
            found[document.name] = document
        if len(found) == len(set(names)):
            break
    return found


def fingerprint(documents: Iterable[Document]) -> str:
    """Hash names, texts, labels and given token ids (sha256, hex), to detect a changed data set.

    A stream is identified by its commit.
    """
    if isinstance(documents, Stream):
        return documents.content
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr(document).encode())
        if document.ids:
            digest.update(repr((document.ids, sorted(document.spans.items()))).encode())
    return digest.hexdigest()
