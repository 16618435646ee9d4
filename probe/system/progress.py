"""Progress of an extraction: a bar on a terminal, an occasional line in a log."""

import logging
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Shows examples done, tokens per second and the time left.

    Parameters
    ----------
    examples : int
        Examples to do.
    shown : bool
        Whether to show anything; only one rank does, for all.
    before : int
        Examples done by earlier sessions.
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
        self._started = self._logged = time.monotonic()
        self._examples, self._before = examples, before

    def update(self, done: int, tokens: int) -> None:
        """Report how many examples and tokens all ranks have done in this session."""
        seconds = time.monotonic() - self._started
        speed = tokens / max(seconds, 1e-9)
        self._bar.set_postfix_str(f"{speed:,.0f} tokens/s", refresh=False)
        total = self._before + done
        self._bar.update(total - self._bar.n)
        if self._shown and self._bar.disable and time.monotonic() - self._logged > self.EVERY:
            left = seconds * (self._examples - total) / done
            logger.info(
                "%d of %d examples, %s tokens/s, %.0f s left",
                total, self._examples, f"{speed:,.0f}", left,
            )  # fmt: skip
            self._logged = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
