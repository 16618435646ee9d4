"""What one job of a sweep leaves in this process for the next: the last thing of each kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_kept: dict[str, tuple[object, Any]] = {}
_keeping = False


@contextmanager
def keeping() -> Iterator[None]:
    """Keep things until the block ends, which lets go of all of them; outside, nothing is kept."""
    global _keeping
    before, _keeping = _keeping, True
    try:
        yield
    finally:
        _keeping = before
        if not before:
            _kept.clear()


def keeps() -> bool:
    """Return whether things are kept, as what identifies them may take long to find out."""
    return _keeping


def keep(kind: str, key: object, value: Any) -> None:
    """Keep a value in the place of the last one of its kind."""
    if _keeping:
        _kept[kind] = key, value


def recall(kind: str, key: object) -> Any:
    """Return the last value of a kind if it was kept for this key; otherwise let go of it."""
    found, value = _kept.get(kind, (None, None))
    if found == key:
        return value
    forget(kind)
    return None


def forget(kind: str) -> None:
    """Let go of the value of a kind."""
    _kept.pop(kind, None)
