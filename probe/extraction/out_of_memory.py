"""A batch that runs out of memory is read again in halves, at its own padded length."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.system.device_memory import release_cached

Read = Callable[[Batch, Tensors], None]
# Called with a batch and the number of examples that make its first half.
Halve = Callable[[Batch, int], None]
# How allocators other than CUDA's say it; torch.OutOfMemoryError is CUDA's.
_MESSAGES = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def in_halves(
    batch: Batch, tensors: Tensors, read: Read, halve: Halve | None = None
) -> Iterator[tuple[Batch, Tensors]]:
    """Read a batch, as a whole or in as many parts as memory asks for.

    Parameters
    ----------
    batch, tensors
        The batch, padded.
    read : callable
        Reads a batch. Where memory runs out it is called again with each half of the rows, which
        stay as long as they are: how an example is padded may show in its last digits.
    halve : callable, optional
        Told before a batch is read again, so that nothing is counted twice.

    Yields
    ------
    tuple of Batch and Tensors
        What was read together, when it has been read.

    Raises
    ------
    UserError
        If one example alone does not fit.
    """
    if _fits(read, batch, tensors):
        yield batch, tensors
        return
    # Not where the error was caught: its traceback holds all that the forward pass had made.
    release_cached(tensors.tokens.device)
    n_examples, length = tensors.tokens.shape
    if n_examples == 1:
        raise UserError(
            f"example {batch.members[0]}, alone in a batch of {length} tokens, runs out of memory "
            f"on {tensors.tokens.device}; leave long examples out with data.max_tokens=, or take "
            "fewer layers, model.dtype=bfloat16 or model.device_map=auto"
        )
    rows = (n_examples + 1) // 2
    if halve is not None:
        halve(batch, rows)
    for half in (slice(rows), slice(rows, None)):
        yield from in_halves(batch.part(half), tensors.part(half), read, halve)


def _fits(read: Read, batch: Batch, tensors: Tensors) -> bool:
    try:
        read(batch, tensors)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def out_of_memory(error: BaseException) -> bool:
    """Tell an allocation that failed from other errors.

    Examples
    --------
    >>> out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    True
    >>> out_of_memory(RuntimeError("shapes cannot be multiplied"))
    False
    """
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(message in str(error) for message in _MESSAGES)


class Journal:
    """What is done of the batch in work, so that nothing is done twice where it comes in halves.

    Attributes
    ----------
    carry : dict
        What sums keep of the batch from one layer to the next, by their key: tensors by name, each
        with a row for every example, which are cut where the batch is.
    series : dict
        What is made anew where the batch, or a half of it, comes again.

    Examples
    --------
    >>> journal = Journal()
    >>> journal.note("layer 0")
    >>> journal.halve(1)  # the batch runs out of memory at layer 1
    >>> halves = []
    >>> for _ in range(2):
    ...     halves.append([journal.todo("layer 0"), journal.todo("layer 1")])
    ...     journal.note("layer 1")
    ...     journal.go_on()
    >>> halves
    [[False, True], [False, True]]
    >>> journal.todo("layer 0")  # of the next batch
    True
    """

    def __init__(self) -> None:
        self._done: set[Hashable] = set()
        self.carry: dict[Hashable, dict[str, Tensor]] = {}
        self.series: dict[int, Any] = {}
        # One for every half that waits, the next last: halves are read depth first.
        self._waiting: list[tuple[set[Hashable], dict[Hashable, dict[str, Tensor]]]] = []

    def todo(self, step: Hashable) -> bool:
        """Whether a step is still to be done."""
        return step not in self._done

    def note(self, step: Hashable) -> None:
        """Note that a step is done."""
        self._done.add(step)

    def halve(self, rows: int) -> None:
        """Let the first `rows` examples, then the others, go on with what the whole has done."""
        self._waiting.append((set(self._done), _part(self.carry, slice(rows, None))))
        self.carry = _part(self.carry, slice(rows))
        self.series.clear()  # it may be what was too much

    def go_on(self) -> None:
        """Go on with the half that waits, or with a new batch."""
        self._done, self.carry = self._waiting.pop() if self._waiting else (set(), {})
        self.series.clear()


def _part(
    carry: dict[Hashable, dict[str, Tensor]], rows: slice
) -> dict[Hashable, dict[str, Tensor]]:
    return {
        key: {name: tensor[rows] for name, tensor in tensors.items()}
        for key, tensors in carry.items()
    }
