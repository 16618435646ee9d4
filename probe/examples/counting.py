"""Which tokens of a text count: a part of it, behind its first ones, without those dropped."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError
from probe.examples.spans import Span


@dataclass(frozen=True)
class Dropped:
    """Tokens that the model reads and that do not count.

    Attributes
    ----------
    ids : tuple of int
        Their ids.
    """

    ids: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any, words: Sequence[str | int]) -> Dropped | None:
        """Look up what `data.drop_tokens` names; None if it names nothing.

        Raises
        ------
        UserError
            If the tokenizer has no such token.
        """
        if not words:
            return None
        ids: set[int] = set()
        for word in words:
            if word == "special":
                ids |= special_ids(tokenizer)
            elif word == "punctuation":
                ids |= punctuation_ids(tokenizer)
            elif isinstance(word, int) and word < len(tokenizer):
                ids.add(word)
            else:
                raise UserError(
                    f"data.drop_tokens names the token {word}, but the tokenizer has "
                    f"{len(tokenizer)} tokens, from 0; leave it out"
                )
        return cls(tuple(sorted(ids)))

    @cached_property
    def _sorted(self) -> NDArray[np.int64]:
        return np.array(sorted(self.ids), dtype=np.int64)

    def kept(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        """Return for each token of a text whether it is none of them.

        Examples
        --------
        >>> Dropped((7, 5)).kept([5, 6, 7, 6])
        array([False,  True, False,  True])
        """
        return np.isin(np.asarray(ids, dtype=np.int64), self._sorted, invert=True)


def mask(ids: Sequence[int], span: Span, dropped: Dropped | None) -> NDArray[np.bool_]:
    """Return for each token of a text whether it counts, of those in a span."""
    counts = np.zeros(len(ids), dtype=np.bool_)
    counts[slice(*span)] = True
    return counts if dropped is None else counts & dropped.kept(ids)


def n_counted(ids: Sequence[int], span: Span, dropped: Dropped | None) -> int:
    """Return the number of tokens of a text that count, of those in a span.

    Examples
    --------
    >>> n_counted([5, 6, 7, 6], (1, 4), None), n_counted([5, 6, 7, 6], (1, 4), Dropped((6,)))
    (3, 1)
    """
    if dropped is None:
        return span[1] - span[0]
    return int(mask(ids, span, dropped).sum())


def special_ids(tokenizer: Any) -> set[int]:
    """Return the tokens that a tokenizer marks as special, which stand for no words."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {*tokenizer.all_special_ids, *(n for n, token in added.items() if token.special)}


def punctuation_ids(tokenizer: Any) -> set[int]:
    """Return the tokens of punctuation only, with or without spaces around it.

    Punctuation is Unicode's (category P), and what ASCII counts as such (`string.punctuation`).
    """
    # To decode a whole vocabulary takes seconds, and letters or digits rule most of it out.
    candidates = [
        number
        for word, number in tokenizer.get_vocab().items()
        if not any(sign.isascii() and sign.isalnum() for sign in word)
    ]
    special = special_ids(tokenizer)
    return {
        number
        for number in candidates
        if number not in special and _is_punctuation(tokenizer.decode([number]))
    }


def _is_punctuation(text: str) -> bool:
    signs = text.strip()
    return bool(signs) and all(
        sign in string.punctuation or category(sign).startswith("P") for sign in signs
    )
