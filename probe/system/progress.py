"""How far an extraction is: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from tqdm import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Examples done, tokens a second and the time left.

    Parameters
    ----------
    examples : int
        Examples to do.
    shown : bool
        Only one rank shows the progress of all.
    before : int
        Examples that earlier sessions have done.
    """

    EVERY = 30.0  # seconds between lines where there is no terminal

    def __init__(self, examples: int, shown: bool, before: int = 0) -> None:
        self._shown = shown
        self._bar = tqdm(
            total=examples,
            initial=before,
            unit=" examples",
            disable=None if shown else True,
            leave=False,
        )
        self._started = self._said = time.monotonic()
        self._examples, self._before = examples, before

    def update(self, done: int, tokens: int) -> None:
        """Say how many examples and tokens all ranks have done so far in this session."""
        seconds = time.monotonic() - self._started
        speed = tokens / max(seconds, 1e-9)
        self._bar.set_postfix_str(f"{speed:,.0f} tokens/s", refresh=False)
        there = self._before + done
        self._bar.update(there - self._bar.n)
        if self._shown and self._bar.disable and time.monotonic() - self._said > self.EVERY:
            left = seconds * (self._examples - there) / done
            logger.info(
                "%d of %d examples, %s tokens/s, %.0f s left",
                there, self._examples, f"{speed:,.0f}", left,
            )  # fmt: skip
            self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
