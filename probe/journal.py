"""Which steps of a batch are done, so that none is done twice where it comes again in halves."""

from __future__ import annotations

from collections.abc import Hashable


class Journal:
    """The steps done of a batch, or of the half of one that is being read.

    Examples
    --------
    >>> journal = Journal()
    >>> journal.note("layer 0")
    >>> journal.halve()  # the batch runs out of memory at layer 1
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
        # One for every half that waits, the next last: halves are read depth first.
        self._waiting: list[set[Hashable]] = []

    def todo(self, step: Hashable) -> bool:
        """Whether a step is still to be done."""
        return step not in self._done

    def note(self, step: Hashable) -> None:
        """Note that a step is done."""
        self._done.add(step)

    def halve(self) -> None:
        """Let each of two halves begin with what the whole has behind it."""
        self._waiting.append(set(self._done))

    def go_on(self) -> None:
        """Go on with the half that waits, or with a new batch."""
        self._done = self._waiting.pop() if self._waiting else set()
