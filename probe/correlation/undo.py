"""All-or-nothing updates: a batch that ran out of memory can be added again."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


@contextmanager
def undone_on_failure(*sums: Tensor) -> Iterator[None]:
    """Restore sums if the block that changes them raises.

    The copy costs one pass over the sums, little compared with the product of thousands of tokens
    that is added to them.

    Examples
    --------
    >>> import contextlib, torch
    >>> total = torch.zeros(2)
    >>> with contextlib.suppress(MemoryError), undone_on_failure(total):
    ...     total[0] += 1
    ...     raise MemoryError
    >>> total
    tensor([0., 0.])
    """
    before = [tensor.clone() for tensor in sums]
    try:
        yield
    except BaseException:
        for tensor, value in zip(sums, before, strict=True):
            tensor.copy_(value)
        raise
