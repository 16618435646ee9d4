"""Cutting: a text into merged paragraphs, its token ids into windows, or after the first ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from probe.config import Config, Cut, DataConfig
from probe.data import Documents, Stream
from probe.errors import UserError

# A blank line, of spaces or of none, whatever ends the lines.
_BLANK = re.compile(r"(?:\r\n|\n|\r)[^\S\r\n]*(?:\r\n|\n|\r)")


def merge_paragraphs(text: str, max_words: int) -> list[str]:
    r"""Split at blank lines and merge consecutive paragraphs up to a number of words.

    Examples
    --------
    >>> merge_paragraphs("a b\n\nc\n\nd e f", max_words=3)
    ['a b\n\nc', 'd e f']
    >>> merge_paragraphs("a b\r\n \r\nc d", max_words=3)
    ['a b', 'c d']
    """
    pieces: list[str] = []
    start, end, words = 0, 0, 0
    for first, last in _paragraphs(text):
        count = len(text[first:last].split())
        if first and words + count > max_words:
            pieces.append(text[start:end])
            start, words = first, 0
        words += count
        end = last
    return [*pieces, text[start:end]]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for blank in _BLANK.finditer(text):
        yield start, blank.start()
        start = blank.end()
    yield start, len(text)


def has_unusual_blank_lines(text: str) -> bool:
    r"""Whether a text has blank lines that are not two line feeds, which were none before.

    Examples
    --------
    >>> has_unusual_blank_lines("a\n\nb"), has_unusual_blank_lines("a\n \nb")
    (False, True)
    """
    return any(blank[0] != "\n\n" for blank in _BLANK.finditer(text))


@dataclass(frozen=True)
class Special:
    """The special tokens that a tokenizer puts around a text.

    Attributes
    ----------
    before, behind : list of int
        Their ids.
    """

    before: list[int]
    behind: list[int]

    @classmethod
    def of(cls, tokenizer: Any) -> Special:
        """Find them by a text with and without them."""
        bare, whole = (
            tokenizer(["0"], add_special_tokens=special, return_attention_mask=False)["input_ids"][
                0
            ]
            for special in (False, True)
        )
        for start in range(len(whole) - len(bare) + 1):
            if list(whole[start : start + len(bare)]) == list(bare):
                return cls(list(whole[:start]), list(whole[start + len(bare) :]))
        return cls([], [])

    def __len__(self) -> int:
        """Count them."""
        return len(self.before) + len(self.behind)

    def strip(self, ids: list[int]) -> list[int]:
        """Return the ids of a text without the special tokens around it."""
        return ids[len(self.before) : len(ids) - len(self.behind)]

    def around(self, ids: list[int]) -> list[int]:
        """Put them around ids."""
        return [*self.before, *ids, *self.behind]

    def named(self, tokenizer: Any) -> str:
        """Say in words what every text has."""
        names = {
            "begins with": tokenizer.convert_ids_to_tokens(self.before),
            "ends with": tokenizer.convert_ids_to_tokens(self.behind),
        }
        return " and ".join(f"{how} {' '.join(ids)}" for how, ids in names.items() if ids)


def cut_identity(config: Config, documents: Documents) -> dict[str, str]:
    """Return what tells a run's pieces from those of earlier versions, where they differ.

    Before, only a document's first window had the special tokens, and lines of spaces or other
    ends of lines made no blank line. Of a stream, which is not read for it, the latter is unknown.
    """
    from probe.models import load_tokenizer

    windows = config.data.cut is Cut.tokens and config.data.special_tokens
    if windows and len(Special.of(load_tokenizer(config.model))):
        return {"cut": "special tokens in every window"}
    paragraphs = config.data.cut is Cut.paragraphs and not isinstance(documents, Stream)
    if paragraphs and any(has_unusual_blank_lines(document.text) for document in documents):
        return {"cut": "at blank lines of any kind"}
    return {}


def bundled_is_too_long(data: DataConfig, skipped: Mapping[str, int]) -> bool:
    """Whether all of the bundled texts, whose lengths no user has chosen, were too long."""
    too_long = bool(skipped) and all(reason.startswith("more than") for reason in skipped)
    whole = data.source == "sample" and data.cut is Cut.whole and data.max_tokens is None
    return whole and too_long


@dataclass
class Cutter:
    """Cuts the token ids of a text.

    Attributes
    ----------
    tokenizer : transformers tokenizer
        Knows the special tokens, which every window has.
    how : Cut
        Whether to cut into windows, after the first tokens, or not at all.
    most : int
        Tokens of a window, or of a truncated text, special ones included.
    truncated : int
        Texts of which something was cut off.
    """

    tokenizer: Any
    how: Cut
    most: int
    truncated: int = 0

    @classmethod
    def of(cls, tokenizer: Any, data: DataConfig, most: int) -> Cutter:
        """Take what the configuration says and the model allows."""
        window = data.window if data.cut is Cut.tokens else None
        return cls(tokenizer, data.cut, min(window or most, most))

    @cached_property
    def special(self) -> Special:
        """The special tokens around a text."""
        return Special.of(self.tokenizer)

    def cut(self, ids: list[int], special: bool) -> Iterator[list[int]]:
        """Yield the pieces, each with the special tokens if the text has them.

        Raises
        ------
        UserError
            If a window holds nothing but special tokens.
        """
        if self.how not in (Cut.tokens, Cut.truncate) or len(ids) <= self.most:
            yield ids
            return
        around = self.special if special else Special([], [])
        room = self.most - len(around)
        if room < 1:
            raise UserError(
                f"data.window={self.most} has no room for text beside the {len(around)} special "
                "tokens; give more, or data.special_tokens=false"
            )
        bare = around.strip(ids)
        if self.how is Cut.truncate:
            self.truncated += 1
            bare = bare[:room]
        for start in range(0, len(bare), room):
            yield around.around(bare[start : start + room])
