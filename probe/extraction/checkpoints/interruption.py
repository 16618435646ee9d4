"""A signal that ends the program, deferred until the sums are saved."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal and a launcher may both pass on the same Ctrl-C.
_SAME = 1.0  # seconds
_MESSAGE = (
    b"\nprobe: interrupted; saving what is done after the current batch (Ctrl-C again to quit)\n"
)


class Interruption:
    """Defers SIGTERM and Ctrl-C, so that they end nothing halfway; a second one is not deferred.

    Ignored signals stay ignored. Only the main thread receives signals.

    Attributes
    ----------
    received : int or None
        The signal, if there was one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._when = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Restore the earlier handlers, and raise a deferred signal again."""
        self._restore()
        if kind is None and self.received is not None:
            signal.raise_signal(self.received)
            raise KeyboardInterrupt  # if that did not end the process

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._when = number, time.monotonic()
            if number == signal.SIGINT:
                os.write(2, _MESSAGE)  # a log or a stream may be in the middle of a line
        elif time.monotonic() - self._when > _SAME:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # None is a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
