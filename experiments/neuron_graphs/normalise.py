"""Which tokens are the same in a graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


def normalised(text: str, rule: str) -> str:
    r"""Return a token's text as the rule has it.

    Parameters
    ----------
    text : str
        The token.
    rule : {"none", "title_strip", "casefold_strip"}
        As it is; as the paper's code has it: lower case if it is in title case, then without
        spaces around it if it has a letter; or the same for every case.

    Examples
    --------
    >>> [normalised(text, "title_strip") for text in (" The", "A", " A", " 3", "USA", "\n")]
    ['the', 'A', 'a', ' 3', 'USA', '\n']
    """
    if rule == "none":
        return text
    # " A" is in title case to the paper's code, and "A" is not: its test begins at 1.
    title = text.istitle() and len(text) > 1
    plain = text.lower() if title or rule == "casefold_strip" else text
    return plain.strip() if any(letter.isalpha() for letter in plain) else plain


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of a model.

    Attributes
    ----------
    texts : tuple of str
        The text of every token, by id.
    classes : ndarray of int32, shape (n_tokens,)
        The id that stands for each id in graphs: itself, or the lowest with the same label.
    rule : {"none", "title_strip", "casefold_strip"}
        Which are the same.
    """

    texts: tuple[str, ...]
    classes: NDArray[np.int32]
    rule: str = "none"

    @classmethod
    def of(cls, texts: Sequence[str], rule: str) -> "Vocabulary":
        """Put tokens with equal labels into one class.

        With rule `none` every token is its own: distinct ones can have one text, as bytes that
        are no character do.
        """
        if rule == "none":
            return cls(tuple(texts), np.arange(len(texts), dtype=np.int32))
        first: dict[str, int] = {}
        labels = (normalised(text, rule) for text in texts)
        classes = [first.setdefault(label, number) for number, label in enumerate(labels)]
        return cls(tuple(texts), np.array(classes, np.int32), rule)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The text of every token as a node of a graph, by id."""
        return tuple(normalised(text, self.rule) for text in self.texts)
