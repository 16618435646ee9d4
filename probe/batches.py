"""From documents to batches: cut, filter, limit, then group by length, all before any sharding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from probe.config import AverageConfig, Config, Cut, DataConfig, Side
from probe.data import Document
from probe.errors import UserError

# Texts handed to the tokenizer at a time: it works on them in parallel.
_TOKENIZED_TOGETHER = 1000


@dataclass(frozen=True)
class Example:
    """Token ids of one text, and the document that it was cut from."""

    document: str
    ids: list[int]


@dataclass(frozen=True)
class Examples:
    """The chosen examples, and how many were left out for which reason."""

    chosen: list[Example]
    skipped: dict[str, int]


@dataclass(frozen=True)
class Batch:
    """Examples that go through the model together.

    Attributes
    ----------
    members : list of int
        Numbers of the examples, counted from 0 over the chosen ones.
    ids : list of list of int
        Their token ids, not padded.
    part : int
        Part of the examples to which all of them belong.
    """

    members: list[int]
    ids: list[list[int]]
    part: int = 0

    def tensors(self, pad: int, side: Side, skip_first: int) -> Tensors:
        """Pad to the longest example."""
        lengths = [len(ids) for ids in self.ids]
        tokens = np.full((len(lengths), max(lengths)), pad, dtype=np.int64)
        attended = np.zeros(tokens.shape, dtype=bool)
        keep = np.zeros(tokens.shape, dtype=bool)
        for row, ids in enumerate(self.ids):
            start = tokens.shape[1] - len(ids) if side is Side.left else 0
            tokens[row, start : start + len(ids)] = ids
            attended[row, start : start + len(ids)] = True
            keep[row, start + skip_first : start + len(ids)] = True
        return Tensors(*map(torch.from_numpy, (tokens, attended, keep)))


@dataclass(frozen=True)
class Tensors:
    """A padded batch, each of shape (n_examples, n_tokens).

    Attributes
    ----------
    tokens : Tensor of int64
        Token ids.
    attended : Tensor of bool
        False at padding.
    keep : Tensor of bool
        Tokens that count in a correlation: neither padding nor among the first that are left out.
    """

    tokens: Tensor
    attended: Tensor
    keep: Tensor

    def to(self, device: torch.device) -> Tensors:
        """Move to a device."""
        return Tensors(self.tokens.to(device), self.attended.to(device), self.keep.to(device))


@dataclass
class _Bounds:
    """Keeps texts of `least` to `most` tokens and counts the others."""

    least: int
    most: int
    skipped: Counter[str] = field(default_factory=Counter)

    def __call__(self, examples: Iterable[Example]) -> Iterator[Example]:
        for example in examples:
            if len(example.ids) < self.least:
                self.skipped[f"fewer than {self.least} tokens"] += 1
            elif len(example.ids) > self.most:
                self.skipped[f"more than {self.most} tokens"] += 1
            else:
                yield example


def choose_examples(
    documents: Sequence[Document], tokenizer: Any, config: Config, context: int
) -> Examples:
    """Cut documents into pieces, keep those of the right length, shuffle, offset and limit.

    Parameters
    ----------
    documents : sequence of Document
        Raw texts.
    tokenizer : transformers tokenizer
        Turns texts into token ids.
    config : Config
        Its `data` says what to choose, `average.example` whether one example is all.
    context : int
        Most tokens that the model can read.

    Raises
    ------
    UserError
        If no example is left.
    """
    data = config.data
    most = context if data.max_tokens is None else min(data.max_tokens, context)
    bounds = _Bounds(data.min_tokens + data.skip_first, most)
    pieces = bounds(_pieces(documents, tokenizer, data, most))
    # Without a shuffle nothing after the last example wanted needs a tokenizer.
    wanted = None if data.limit is None or data.shuffle else data.offset + data.limit
    chosen = list(islice(pieces, wanted))
    if data.shuffle:
        order = np.random.default_rng(data.seed).permutation(len(chosen))
        chosen = [chosen[i] for i in order]
    end = None if data.limit is None else data.offset + data.limit
    chosen = chosen[data.offset : end]
    skipped = dict(bounds.skipped)
    if not chosen:
        why = ", ".join(f"{count} had {reason}" for reason, count in skipped.items())
        raise UserError(
            f"no example is left of {len(documents)} documents ({why or 'offset too large'}); "
            "change data.min_tokens, data.max_tokens, data.offset, or cut long texts with "
            "data.cut=tokens"
        )
    return Examples(_averaged(chosen, config.average), skipped)


def form_batches(examples: Sequence[Example], token_budget: int, parts: int = 1) -> list[Batch]:
    """Group examples of like length, longest first, within a budget of padded tokens.

    The batches depend on the examples and the budget alone, not on the number of ranks. No batch
    crosses the border of a part; parts are contiguous and as equal as `np.array_split` makes them.
    An example longer than the budget is a batch of its own.
    """
    batches = []
    for part, members in enumerate(np.array_split(np.arange(len(examples)), parts)):
        group: list[int] = []
        for member in sorted(members.tolist(), key=lambda i: (-len(examples[i].ids), i)):
            if group and (len(group) + 1) * len(examples[group[0]].ids) > token_budget:
                batches.append(_batch(group, examples, part))
                group = []
            group.append(member)
        batches.append(_batch(group, examples, part))
    return batches


def merge_paragraphs(text: str, max_words: int) -> list[str]:
    r"""Split at blank lines and merge consecutive paragraphs up to a number of words.

    Examples
    --------
    >>> merge_paragraphs("a b\n\nc\n\nd e f", max_words=3)
    ['a b\n\nc', 'd e f']
    """
    pieces: list[list[str]] = []
    words = 0
    for paragraph in text.split("\n\n"):
        count = len(paragraph.split())
        if not pieces or words + count > max_words:
            pieces.append([])
            words = 0
        pieces[-1].append(paragraph)
        words += count
    return ["\n\n".join(piece) for piece in pieces]


def _pieces(
    documents: Sequence[Document], tokenizer: Any, data: DataConfig, most: int
) -> Iterator[Example]:
    texts: Iterator[tuple[str, str]] = (
        (document.name, piece)
        for document in tqdm(documents, "tokenize", disable=None, leave=False, delay=2)
        for piece in (
            merge_paragraphs(document.text, data.max_words)
            if data.cut is Cut.paragraphs
            else [document.text]
        )
    )
    while together := list(islice(texts, _TOKENIZED_TOGETHER)):
        encoded = tokenizer(
            [text for _, text in together],
            add_special_tokens=data.special_tokens,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
        for (name, _), ids in zip(together, encoded, strict=True):
            window = len(ids) if data.cut is not Cut.tokens else min(data.window or most, most)
            for start in range(0, max(len(ids), 1), max(window, 1)):
                yield Example(name, ids[start : start + window])


def _averaged(chosen: list[Example], average: AverageConfig) -> list[Example]:
    """Take the one example that the average is over, if so, and check the number of parts."""
    if average.example is not None:
        if average.example >= len(chosen):
            raise UserError(
                f"average.example={average.example} is not there: the examples are 0 to "
                f"{len(chosen) - 1}"
            )
        return [chosen[average.example]]
    if average.parts > len(chosen):
        raise UserError(
            f"average.parts={average.parts} is more than the {len(chosen)} examples; "
            "take fewer parts or more examples"
        )
    return chosen


def _batch(group: list[int], examples: Sequence[Example], part: int) -> Batch:
    return Batch(list(group), [examples[i].ids for i in group], part)
