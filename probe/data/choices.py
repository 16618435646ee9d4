"""The prompt of a four-choice question."""

from __future__ import annotations

import string
from collections.abc import Sequence


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
