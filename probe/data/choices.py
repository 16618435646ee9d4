"""A question with choices as a document."""

import string
from collections.abc import Mapping, Sequence

from probe.data.document import Document, Label

_SYSTEM = "You are a helpful assistant."


def prompt(question: str, choices: Sequence[str]) -> str:
    """Format a question with its choices as in Zheng et al. 2025 (arXiv:2506.01042).

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
    """Make a document of a question: as text for base models, as turns for instruct models.

    Parameters
    ----------
    name : str
        Name of the document.
    question : str
        The question.
    choices : sequence of str
        At most 26 choices.
    answer : int
        Index of the correct choice, from 0.
    subject : str
        Its subject.
    labels : mapping, optional
        Labels besides the answer's letter and the number of choices, which gives the chance level.
    """
    text = prompt(question, choices)
    labels = {"letter": string.ascii_uppercase[answer], "choices": len(choices), **(labels or {})}
    turns = (("system", _SYSTEM), ("user", text))
    return Document(
        name, text, subject, answer, turns, labels,
        choices=tuple(map(str, choices)), parts=(("question", question),),
    )  # fmt: skip
