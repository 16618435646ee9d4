"""Every key of a configuration, read from its dataclasses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

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

    `was` is its former dotted name, if it had one.
    """

    name: str
    kind: Any
    default: Any
    doc: str
    words: Sequence[str] = ()
    was: str | None = None

    @property
    def choices(self) -> list[str]:
        """All values of the key, where they are few."""
        kinds = get_args(self.kind) or (self.kind,)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Enum):
                return [member.name for member in kind]
        return ["true", "false"] if bool in kinds else list(self.words)

    @property
    def type_name(self) -> str:
        """What a value must be, e.g. `an integer or null`."""
        kinds = get_args(self.kind) if isinstance(self.kind, UnionType) else (self.kind,)
        return " or ".join(_TYPE_NAMES.get(kind, str(kind)) for kind in kinds)


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
            )
