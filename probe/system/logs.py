"""Logs on the console and in `probe.log`, which ranks in other processes write to as well."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from probe.system.secrets import hide

# Tells the ranks that a run starts where its log is.
VARIABLE = "PROBE_LOG"


class Hiding(logging.Formatter):
    """Formats records without tokens and passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, including its traceback."""
        return hide(super().format(record))


class QuietFileHandler(logging.FileHandler):
    """A log file that may be cut off on a full disk, which the run itself reports."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing: logging would print a traceback for every line."""


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Also write INFO and above to a file, including that of ranks started meanwhile."""
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
    """Append to a log line by line, as other processes may at the same time."""
    handler = QuietFileHandler(file, mode="a", encoding="utf-8")
    handler.setFormatter(Hiding("%(asctime)s %(levelname)s %(name)s  %(message)s"))
    return handler


def log_to_console() -> None:
    """Show INFO and above in the format of `conf/hydra/job_logging`, unless logging is set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(Hiding("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def plural(number: int, noun: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> plural(1, "example"), plural(2, "example"), plural(2, "matrix")
    ('1 example', '2 examples', '2 matrices')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ces" if noun.endswith("x") else f"{number} {noun}s"
