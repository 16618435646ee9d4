"""How far the graphs are: a bar on a terminal, an occasional line in a log."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
EVERY = 30.0  # seconds between lines where there is no terminal


class Progress(Generic[Item]):
    """Shows units as they are finished, and passes of the model in between.

    Parameters
    ----------
    finished : iterable
        Yields every unit as it is finished.
    number : int
        Units.
    """

    def __init__(self, finished: Iterable[Item], number: int) -> None:
        self._bar = tqdm(finished, "graphs", number, disable=None, leave=False, delay=2)
        self._number, self._done, self._logged = number, 0, time.monotonic()

    def __iter__(self) -> Iterator[Item]:
        """Yield the units."""
        for item in self._bar:
            self._done += 1
            yield item

    def passed(self, passes: int) -> None:
        """Show the number of passes so far."""
        self._bar.set_postfix_str(f"{passes} passes")
        if self._bar.disable and time.monotonic() - self._logged > EVERY:
            logger.info(
                "%d of %d neurons have their graph, %d passes so far",
                self._done, self._number, passes,
            )  # fmt: skip
            self._logged = time.monotonic()
