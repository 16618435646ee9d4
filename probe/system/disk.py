"""A disk that is full, told in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probe.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# NumPy's words for it, which have no number.
_NUMPY = "requested and"


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Word the system's refusal to write what is made in a folder.

    Raises
    ------
    UserError
        If there is no room, or the disk does not take anything any more.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL and _NUMPY not in str(error):
            raise
        raise UserError(
            f"{folder} cannot be written any further ({error.strerror or error}); finished results "
            "stay as they were: make room, and give the same command again"
        ) from None
