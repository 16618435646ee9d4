"""A batch that runs out of memory is read again in halves, padded as before."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

from probe.errors import UserError
from probe.examples.batches import Batch, Tensors
from probe.system.device_memory import release_cached

Read = Callable[[Batch, Tensors], None]
# Called with a batch and the number of examples in its first half.
Halve = Callable[[Batch, int], None]
# What sums carry from one layer of a batch to the next, by their key: tensors by name, with a row
# per example.
Carries = dict[Hashable, dict[str, Tensor]]
# Messages of allocators other than CUDA's, whose error is torch.OutOfMemoryError.
_MESSAGES = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def in_halves(
    batch: Batch, tensors: Tensors, read: Read, halve: Halve | None = None
) -> Iterator[tuple[Batch, Tensors]]:
    """Read a batch whole or, if memory runs out, in as few parts as fit.

    Parameters
    ----------
    batch, tensors
        The batch, padded.
    read : callable
        Reads a batch. If memory runs out, it is called again with each half of the rows, at the
        same padded length, which can show in an example's last digits.
    halve : callable, optional
        Called before a batch is read again, so that nothing is counted twice.

    Yields
    ------
    tuple of Batch and Tensors
        Each part, once it has been read.

    Raises
    ------
    UserError
        If a single example does not fit.
    """
    if _fits(read, batch, tensors):
        yield batch, tensors
        return
    # Not where the error was caught, as its traceback keeps the forward pass's tensors alive.
    release_cached(tensors.tokens.device)
    n_examples, length = tensors.tokens.shape
    if n_examples == 1:
        raise UserError(
            f"example {batch.members[0]}, alone in a batch of {length} tokens, runs out of memory "
            f"on {tensors.tokens.device}; leave out long examples with data.max_tokens=, or use "
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
    """Return whether an error is a failed allocation.

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
    """The finished steps of the current batch, so that none is repeated if it comes in halves.

    Attributes
    ----------
    carry : Carries
        What sums carry, split with the batch.
    series : dict
        The batch's series by layer, made again for a half of it.

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
        self.carry: Carries = {}
        self.series: dict[int, Any] = {}
        # One entry per waiting half, the next one last: halves are read depth first.
        self._waiting: list[tuple[set[Hashable], Carries]] = []

    def todo(self, step: Hashable) -> bool:
        """Return whether a step is still to be done."""
        return step not in self._done

    def note(self, step: Hashable) -> None:
        """Mark a step as done."""
        self._done.add(step)

    def halve(self, rows: int) -> None:
        """Let the first `rows` examples, then the others, continue from what the whole has done."""
        self._waiting.append((set(self._done), _part(self.carry, slice(rows, None))))
        self.carry = _part(self.carry, slice(rows))
        self.series.clear()  # they may be what did not fit

    def go_on(self) -> None:
        """Continue with the half that waits, or with a new batch."""
        self._done, self.carry = self._waiting.pop() if self._waiting else (set(), {})
        self.series.clear()


def _part(carry: Carries, rows: slice) -> Carries:
    return {
        key: {name: tensor[rows] for name, tensor in tensors.items()}
        for key, tensors in carry.items()
    }
