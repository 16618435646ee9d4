"""Files appear complete or not at all, and a full disk is reported in one line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probe.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# NumPy's own message for a short write, which has no errno.
_NUMPY = "requested and"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` once it is completely written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def report_full_disk(folder: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a folder into a `UserError`.

    Raises
    ------
    UserError
        If the disk is full, or cannot be written any more.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL and _NUMPY not in str(error):
            raise
        raise UserError(
            f"{folder} cannot be written any more ({error.strerror or error}); finished results "
            "are intact: free some space and run the same command again"
        ) from None
