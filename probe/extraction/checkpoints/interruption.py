"""A signal that asks the program to end, put off until the sums are kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal and a launcher between it and this process pass the same Ctrl-C on.
_SAME = 1.0  # seconds
_SAID = b"\nprobe: interrupted; the sums are kept after this batch (Ctrl-C again ends at once)\n"


class Interruption:
    """Waits for SIGTERM and Ctrl-C, so that they end nothing in the middle; a second one does.

    Signals that the process ignores stay ignored. Only the main thread hears any.

    Attributes
    ----------
    received : int or None
        The signal, once there was one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._when = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Go back to what a signal meant before, and let one that was put off mean that now."""
        self._restore()
        if kind is None and self.received is not None:
            signal.raise_signal(self.received)
            raise KeyboardInterrupt  # whatever that did not end

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._when = number, time.monotonic()
            if number == signal.SIGINT:
                os.write(2, _SAID)  # a log or a stream may be in the middle of a line
        elif time.monotonic() - self._when > _SAME:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # None is a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
