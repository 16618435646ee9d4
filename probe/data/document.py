"""A raw text with its labels, before any tokenizer has seen it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Label = str | float | bool


@dataclass(frozen=True)
class Document:
    """A raw text.

    Attributes
    ----------
    name : str
        Where it comes from, e.g. `high_school_psychology/17`; said when something is wrong in it.
    text : str
        The text.
    subject : str, optional
        Its subject.
    answer : int, optional
        Number of the right choice of a question, from 0.
    turns : tuple of (str, str)
        Role and content of each turn, in the place of the text where a chat template is wanted;
        empty where the text is no conversation.
    labels : mapping
        What else is known of it, e.g. whether an answer is correct, or the columns of a table.
    """

    name: str
    text: str
    subject: str | None = None
    answer: int | None = None
    turns: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, Label] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Stream:
    """Documents that are read while they are asked for, afresh at each iteration.

    Attributes
    ----------
    read : callable
        Starts to read.
    content : str
        Stands for the content, of which a part at most is ever read, e.g. the Hub's commit.
    """

    read: Callable[[], Iterator[Document]]
    content: str

    def __iter__(self) -> Iterator[Document]:
        """Read from the beginning."""
        return self.read()


Documents = list[Document] | Stream


def fingerprint(documents: Iterable[Document]) -> str:
    """Hash names, texts and labels, so that a changed data set is noticed (sha256, hex).

    What is streamed is known by the commit that it is read from.
    """
    if isinstance(documents, Stream):
        return documents.content
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr(document).encode())
    return digest.hexdigest()
