"""Locks: one process at a time does the same work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from probe.errors import UserError


@contextmanager
def one_process(output: str, name: str, busy: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from the same work meanwhile.

    Parameters
    ----------
    output : str
        Folder of all results, where locks are kept.
    name : str
        Name of the work.
    busy : callable
        Called if another process holds the lock; unless it raises, this process then waits.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    lock = FileLock(Path(output) / ".locks" / f"{name}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        busy()
        lock.acquire()
    except OSError as error:
        raise UserError(
            f"output={output} cannot be written ({error.strerror}); "
            "give another folder with output="
        ) from None
    try:
        yield
    finally:
        lock.release()
