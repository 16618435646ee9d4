"""From examples to batches of similar length, before they are shared among ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from probe.config import Side
from probe.examples.counting import Dropped, mask, n_counted
from probe.examples.example import Example, counted
from probe.examples.spans import Span
from probe.models import LengthLimit

# Largest share of padding in a row of a batch: padding costs as much time as text.
_PADDING = 0.1


@dataclass(frozen=True)
class Batch:
    """Examples that the model reads together.

    Attributes
    ----------
    members : list of int
        Numbers of the examples among the chosen ones, from 0.
    ids : sequence of sequence of int
        Their token ids, without padding.
    cell : int
        Cell that all of them belong to, see `probe.examples.partition`.
    spans : list of (int, int), optional
        First token of the part of each that counts, and the one behind its last (default: whole).
    dropped : Dropped, optional
        Tokens that do not count, wherever they are.
    """

    members: list[int]
    ids: Sequence[Sequence[int]]
    cell: int = 0
    spans: list[Span] | None = None
    dropped: Dropped | None = None

    def _counted(self, skip_first: int) -> Iterator[tuple[Sequence[int], Span]]:
        """Yield the ids of each, with the span in which tokens may count."""
        spans = [(0, len(ids)) for ids in self.ids] if self.spans is None else self.spans
        for ids, span in zip(self.ids, spans, strict=True):
            yield ids, counted(span, skip_first)

    def n_counted(self, skip_first: int) -> list[int]:
        """Return for each the number of tokens that count."""
        return [n_counted(ids, span, self.dropped) for ids, span in self._counted(skip_first)]

    @property
    def padded_tokens(self) -> int:
        """Number of tokens that the model reads, padding included."""
        return len(self.ids) * max(map(len, self.ids))

    def tensors(self, pad: int, side: Side, skip_first: int) -> Tensors:
        """Pad to the longest example."""
        lengths = [len(ids) for ids in self.ids]
        tokens = np.full((len(lengths), max(lengths)), pad, dtype=np.int64)
        attended = np.zeros(tokens.shape, dtype=bool)
        keep = np.zeros(tokens.shape, dtype=bool)
        for row, (ids, span) in enumerate(self._counted(skip_first)):
            start = tokens.shape[1] - len(ids) if side is Side.left else 0
            tokens[row, start : start + len(ids)] = ids
            attended[row, start : start + len(ids)] = True
            keep[row, start : start + len(ids)] = mask(ids, span, self.dropped)
        return Tensors(*map(torch.from_numpy, (tokens, attended, keep)))

    def part(self, rows: slice) -> Batch:
        """Return some of the examples."""
        return self.pick(range(len(self.ids))[rows])

    def pick(self, rows: Sequence[int]) -> Batch:
        """Return some of the examples, in the order of their rows."""
        members, ids = [self.members[row] for row in rows], [self.ids[row] for row in rows]
        spans = None if self.spans is None else [self.spans[row] for row in rows]
        return Batch(members, ids, self.cell, spans, self.dropped)


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
        Tokens that count in a correlation: neither padding, nor skipped first tokens, nor outside
        the part that counts, nor dropped.
    """

    tokens: Tensor
    attended: Tensor
    keep: Tensor

    def to(self, device: torch.device) -> Tensors:
        """Move to a device."""
        return Tensors(self.tokens.to(device), self.attended.to(device), self.keep.to(device))

    def part(self, rows: slice) -> Tensors:
        """Return some of the examples at the same padded length."""
        return Tensors(self.tokens[rows], self.attended[rows], self.keep[rows])


class Together(StrEnum):
    """Which texts a batch may hold.

    `like`: of like length, padded; `equal`: of equal length; `single`: one alone.
    """

    like = "like"
    equal = "equal"
    single = "single"


def form_batches(
    examples: Sequence[Example],
    token_budget: int,
    cells: Sequence[Sequence[int]] | None = None,
    part: str | None = None,
    limit: LengthLimit | None = None,
    dropped: Dropped | None = None,
) -> list[Batch]:
    """Group examples of similar length, longest first, within a budget of padded tokens.

    Padding is at most a tenth of a row. The batches depend only on the examples and the budget, not
    on the number of ranks. All examples of a batch are in one cell, a set of numbers of examples
    (default: one cell for all). An example longer than the budget is a batch of its own. No batch
    crosses the model's `limit`. Of each only the tokens of `part` count (default: all) that are not
    `dropped`.
    """
    parts = [range(len(examples))] if cells is None else cells
    batches = []
    for cell, members in enumerate(parts):
        rows = Batch(
            list(members),
            [examples[member].ids for member in members],
            cell,
            None if part is None else [examples[member].span(part) for member in members],
            dropped,
        )
        batches += _grouped(rows, token_budget, limit, Together.like)
    return batches


def regrouped(batches: Sequence[Batch], token_budget: int, together: Together) -> list[Batch]:
    """Return batches as they are, or their texts anew in batches of equal length or of one text.

    Examples
    --------
    >>> batch = Batch([0, 1, 2], [[5, 5, 5], [6, 6], [7, 7, 7]])
    >>> [one.members for one in regrouped([batch], 100, Together.equal)]
    [[0, 2], [1]]
    """
    if together is Together.like:
        return list(batches)
    cells: dict[int, Batch] = {}
    for batch in batches:
        whole = cells.get(batch.cell)
        cells[batch.cell] = batch if whole is None else _joined(whole, batch)
    return [
        batch for whole in cells.values() for batch in _grouped(whole, token_budget, None, together)
    ]


def _joined(first: Batch, second: Batch) -> Batch:
    spans = None if first.spans is None else [*first.spans, *(second.spans or [])]
    members, ids = [*first.members, *second.members], [*first.ids, *second.ids]
    return Batch(members, ids, first.cell, spans, first.dropped)


def _grouped(
    rows: Batch, token_budget: int, limit: LengthLimit | None, together: Together
) -> list[Batch]:
    """Deal the rows of one cell out to batches, longest first."""
    groups: list[list[int]] = []

    def fits(group: list[int], length: int) -> bool:
        longest = len(rows.ids[group[0]])
        if together is not Together.like:
            like = together is Together.equal and length == longest
        else:
            like = length >= (1 - _PADDING) * longest
            like = like and (limit is None or limit.together(longest, length))
        return like and (len(group) + 1) * longest <= token_budget

    order = sorted(range(len(rows.ids)), key=lambda i: (-len(rows.ids[i]), rows.members[i]))
    for row in order:
        if groups and fits(groups[-1], len(rows.ids[row])):
            groups[-1].append(row)
        else:
            groups.append([row])
    return [rows.pick(group) for group in groups]


def padding_share(batches: Sequence[Batch]) -> float:
    """Return the share of padding in all tokens that the model reads, from 0 to 1."""
    padded = sum(batch.padded_tokens for batch in batches)
    return 1 - sum(len(ids) for batch in batches for ids in batch.ids) / padded
