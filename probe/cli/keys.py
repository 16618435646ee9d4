"""Every key of a configuration, read from its dataclasses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

_TYPE_NAMES: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "a string",
    list[int]: "a list of integers",
    list[float]: "a list of numbers",
    list[str]: "a list of strings",
    NoneType: "null",
}


@dataclass(frozen=True)
class Key:
    """A key that a user can set: its dotted name, type, default, description and words.

    `was` is its former dotted name, if it had one; in a `path` `~` is the home folder.
    """

    name: str
    kind: Any
    default: Any
    doc: str
    words: Sequence[str] = ()
    was: str | None = None
    path: bool = False

    @property
    def choices(self) -> list[str]:
        """All values of the key, where they are few."""
        kinds = get_args(self.kind) or (self.kind,)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Enum):
                return [member.name for member in kind]
        return ["true", "false"] if bool in kinds else list(self.words)

    @property
    def takes_lists(self) -> bool:
        """Whether a value can be a list."""
        kinds = get_args(self.kind) if isinstance(self.kind, UnionType) else (self.kind,)
        return any(kind is Any or get_origin(kind) is list for kind in kinds)

    @property
    def takes_texts(self) -> bool:
        """Whether a value can be any text."""
        return str in (get_args(self.kind) or (self.kind,)) and not self.takes_lists

    @property
    def type_name(self) -> str:
        """What a value must be, e.g. `an integer or null`."""
        kinds = get_args(self.kind) if isinstance(self.kind, UnionType) else (self.kind,)
        return " or ".join(_TYPE_NAMES.get(kind) or _one_of(kind) for kind in kinds)


def _one_of(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(member.name for member in kind)}"
    return "true or false" if kind is bool else str(kind)


def keys(schema: Any, prefix: str = "") -> Iterator[Key]:
    """List the keys of a schema, depth first."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        kinds = [k for k in get_args(hints[field.name]) or (hints[field.name],) if is_dataclass(k)]
        if kinds:
            yield from keys(kinds[0], f"{prefix}{field.name}.")
        else:
            declared = field.metadata
            yield Key(
                name=prefix + field.name,
                kind=hints[field.name],
                default=field.default,
                doc=declared.get("doc", ""),
                words=declared.get("choices", ()),
                was=prefix + declared["was"] if declared.get("was") else None,
                path=declared.get("path", False),
            )
