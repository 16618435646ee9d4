"""Ctrl-C while a program's modules are still being imported: a line, and no traceback."""

import sys
from types import TracebackType

_before = sys.excepthook


def until_begun() -> None:
    """Let Ctrl-C end this process with a line and exit code 130, until it says it has `begun`."""
    global _before
    if sys.excepthook is not _tell:
        _before, sys.excepthook = sys.excepthook, _tell


def begun() -> None:
    """Leave interruptions to the program, which says more of them."""
    if sys.excepthook is _tell:  # not if a library has set its own meanwhile
        sys.excepthook = _before


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _before(kind, error, trace)
        return
    sys.stderr.write("probe: interrupted before it began\n")
    sys.exit(130)
