"""Values against what is declared with their keys: bounds, and lists of words."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from math import isfinite, isnan
from numbers import Real
from types import UnionType
from typing import Any, get_args, get_type_hints

from probe.errors import nearest

# The largest integer that a double, and so every JSON reader, represents exactly.
LARGEST = 1 << 53
_NUMBERS = {int: "an integer", float: "a number"}


@dataclass(frozen=True)
class Bounds:
    """The least and the most that a number can be, or what it must be above or below."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def wanted(self) -> str:
        """What a value must be, in words.

        Examples
        --------
        >>> Bounds(least=0).wanted, Bounds(above=0, most=1).wanted, Bounds().wanted
        ('0 or more', 'more than 0 and 1 or less', 'a finite one')
        """
        parts = [
            f"{self.least} or more" if self.least is not None else "",
            f"more than {self.above}" if self.above is not None else "",
            f"{self.most} or less" if self.most is not None else "",
            f"less than {self.below}" if self.below is not None else "",
        ]
        return " and ".join(filter(None, parts)) or "a finite one"

    def wrong(self, value: Any) -> str | None:
        """Say what is wrong with a number; None if nothing is."""
        if isnan(value):
            return f"is not a number; give {self.wanted}"
        low = self.least is not None and value < self.least
        if low or (self.above is not None and value <= self.above):
            return f"is too small; give {self.wanted}"
        high = self.most is not None and value > self.most
        if high or (self.below is not None and value >= self.below):
            return f"is too large; give {self.wanted}"
        if value > LARGEST:
            return f"is too large; give {LARGEST} or less"
        return None if isfinite(value) else f"is not finite; give {self.wanted}"


def declared_mistakes(config: Any, prefix: str = "") -> Iterator[str]:
    """Find values that are not what is declared with their keys, in a tree of dataclasses."""
    schema: Any = type(config)
    for name, kind, usually_empty, declared in _declared(schema):
        value = getattr(config, name)
        if is_dataclass(value):
            yield from declared_mistakes(value, f"{prefix}{name}.")
        elif value is None:
            continue
        elif kind in _NUMBERS:
            yield from _number_mistakes(prefix + name, value, kind, declared)
        elif (choices := declared.get("choices")) and not (usually_empty and value == []):
            yield from _choice_mistakes(prefix + name, value, choices)


@cache
def _declared(schema: Any) -> list[tuple[str, Any, bool, Mapping[str, Any]]]:
    """Return the keys of a schema.

    Name, kind of the value or of its elements, whether it is an empty list by default, and what is
    declared.
    """
    hints = get_type_hints(schema)
    return [
        (
            one.name,
            _kind(hints[one.name]),
            one.default_factory is not MISSING and one.default_factory() == [],
            one.metadata,
        )
        for one in fields(schema)
    ]


def _kind(hint: Any) -> Any:
    """Return the type of a value, without None, or of the elements of a list.

    Examples
    --------
    >>> _kind(int | None), _kind(list[float] | None), _kind(str)
    (<class 'int'>, <class 'float'>, <class 'str'>)
    """
    kind = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    return get_args(kind)[0] if get_args(kind) else kind


def _number_mistakes(
    name: str, value: Any, kind: type, declared: Mapping[str, Any]
) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        where = f"{one} in {name}={value}" if isinstance(value, list) else f"{name}={value}"
        right = isinstance(one, Real) if kind is float else isinstance(one, int)
        if not right or isinstance(one, bool):
            yield f"{where} must be {_NUMBERS[kind]}"
        elif wrong := declared.get("bounds", Bounds()).wrong(one):
            yield f"{where} {wrong}"


def _choice_mistakes(name: str, value: Any, choices: tuple[str, ...]) -> Iterator[str]:
    many = isinstance(value, list)
    given = value if many else [value]
    if not given or len(set(given)) < len(given) or not set(given) <= set(choices):
        written = f"[{','.join(given)}]" if many else value
        unknown = next((word for word in given if word not in choices), "")
        yield (
            f"{name}={written} must be {'a list, each once,' if many else 'one'} of "
            f"{', '.join(choices)}{nearest(unknown, choices)}"
        )
