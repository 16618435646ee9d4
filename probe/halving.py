"""A batch that runs out of memory is read again in halves, at its own padded length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from probe import room
from probe.batches import Batch, Tensors
from probe.errors import UserError

Read = Callable[[Batch, Tensors], None]
# Called with the examples that make the first half.
Halve = Callable[[Batch, int], None]
# How allocators other than CUDA's say it; torch.OutOfMemoryError is CUDA's.
_SAID = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


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
    room.give_back(tensors.tokens.device)
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
    return isinstance(error, kinds) or any(said in str(error) for said in _SAID)
