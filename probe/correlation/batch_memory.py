"""What sums take of memory beyond the tensors that they begin with."""

from collections.abc import Iterable
from typing import NamedTuple

import torch


class BatchShape(NamedTuple):
    """What memory depends on in a padded batch.

    Attributes
    ----------
    rows, length : int
        Examples, and tokens of each, padding included.
    device : torch.device
        Where the activations are.
    constants : bool
        Whether neurons may be constant in some examples.
    """

    rows: int
    length: int
    device: torch.device
    constants: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of all examples, padding included."""
        return self.rows * self.length


class MostBytes(NamedTuple):
    """Bytes that sums take at most beyond their first tensors, by how long they take them.

    Attributes
    ----------
    run : int
        Until the end, once they have been needed.
    batch : int
        From one layer of a batch to its last.
    update : int
        While one layer is added.
    """

    run: int = 0
    batch: int = 0
    update: int = 0

    @classmethod
    def of(cls, parts: "Iterable[MostBytes]") -> "MostBytes":
        """Combine what sums take that are updated one after another.

        Examples
        --------
        >>> MostBytes.of([MostBytes(1, 2, 3), MostBytes(10, 20, 30)])
        MostBytes(run=11, batch=22, update=30)
        """
        run, batch, update = zip(cls(), *parts, strict=True)
        return cls(sum(run), sum(batch), max(update))
