"""A question with choices as a document."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from probe.data.document import Document, Label

_SYSTEM = "You are a helpful assistant."


def prompt(question: str, choices: Sequence[str]) -> str:
    """Write a question with its choices as Zheng et al. 2025 do (arXiv:2506.01042).

    Examples
    --------
    >>> print(prompt("How many?", ["One", "Two"]))
    Question: How many?
    A) One
    B) Two
    Answer:
    """
    lines = [
        f"{letter}) {choice}"
        for letter, choice in zip(string.ascii_uppercase, choices, strict=False)
    ]
    return "\n".join([f"Question: {question}", *lines, "Answer:"])


def question_document(
    name: str,
    question: str,
    choices: Sequence[str],
    answer: int,
    subject: str,
    labels: Mapping[str, Label] | None = None,
) -> Document:
    """Make a document of a question, for base models and, as turns, for instruct models.

    Parameters
    ----------
    name : str
        Where it comes from.
    question : str
        The question.
    choices : sequence of str
        At most 26 choices.
    answer : int
        Number of the right one, from 0.
    subject : str
        Its subject.
    labels : mapping, optional
        What to keep beside the letter of the answer and the number of choices, which is what
        guessing is judged by.
    """
    text = prompt(question, choices)
    known = {"letter": string.ascii_uppercase[answer], "choices": len(choices), **(labels or {})}
    return Document(name, text, subject, answer, (("system", _SYSTEM), ("user", text)), known)
