"""Logs: on the console, and of a run, which its rank 0 writes too when that is another process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from probe.system.secrets import hide

# Names the log of the run for the ranks that it starts.
VARIABLE = "PROBE_LOG"


class Hiding(logging.Formatter):
    """Formats without tokens and passwords, wherever they come from."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, its traceback included."""
        return hide(super().format(record))


class File(logging.FileHandler):
    """A log in whose place, on a full disk, there is nothing; the run says so where it matters."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Keep quiet: logging would write a traceback for every line."""


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send what is logged at INFO and above to a file, also by ranks that are started."""
    root, own = logging.getLogger(), logging.getLogger("probe")
    level = own.level
    handler = file_handler(file)
    root.addHandler(handler)
    own.setLevel(min(level or logging.INFO, logging.INFO))
    os.environ[VARIABLE] = str(file.resolve())
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        own.setLevel(level)
        root.removeHandler(handler)
        with suppress(OSError):  # of a full disk, again
            handler.close()


def file_handler(file: str | Path) -> logging.Handler:
    """Append to a log, line by line, as another process may do at the same time."""
    handler = File(file, mode="a", encoding="utf-8")
    handler.setFormatter(Hiding("%(asctime)s %(levelname)s %(name)s  %(message)s"))
    return handler


def log_to_console() -> None:
    """Show what is logged at INFO and above, as `conf/hydra/job_logging` does, unless it is."""
    handler = logging.StreamHandler()
    handler.setFormatter(Hiding("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
