"""What a cell of a table holds: a text, nothing, or something that is no text."""

from typing import Any


def is_empty(value: Any) -> bool:
    """Whether a cell is empty: null, or not a number, as libraries write a missing one.

    Examples
    --------
    >>> [is_empty(value) for value in (None, float("nan"), "", 0, "nan")]
    [True, True, False, False, False]
    """
    return value is None or bool(isinstance(value, float) and value != value)


def cell_text(value: Any) -> str | None:
    """Return a cell as text: empty if it is; None if it holds bytes, a list or a mapping.

    Examples
    --------
    >>> cell_text("a"), cell_text(1931.0), cell_text(float("nan")), cell_text(b"a")
    ('a', '1931.0', '', None)
    """
    if is_empty(value):
        return ""
    return None if isinstance(value, bytes | bytearray | list | dict) else str(value)
