"""A raw text with its label, before any tokenizer has seen it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


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
    """

    name: str
    text: str
    subject: str | None = None
    answer: int | None = None


def fingerprint(documents: Iterable[Document]) -> str:
    """Hash names, texts and labels, so that a changed data set is noticed (sha256, hex)."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr(document).encode())
    return digest.hexdigest()
