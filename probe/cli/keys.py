"""Every key of a configuration, read from its dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints


@dataclass(frozen=True)
class Key:
    """A key that a user can set: its dotted name, type, default and explanation."""

    name: str
    kind: Any
    default: Any
    doc: str

    @property
    def choices(self) -> list[str]:
        """Values that the key can take, where they are few."""
        kinds = get_args(self.kind) or (self.kind,)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Enum):
                return [member.name for member in kind]
        return ["true", "false"] if bool in kinds else []


def keys(schema: Any, prefix: str = "") -> Iterator[Key]:
    """List the keys of a schema, depth first."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        kinds = [k for k in get_args(hints[field.name]) or (hints[field.name],) if is_dataclass(k)]
        if kinds:
            yield from keys(kinds[0], f"{prefix}{field.name}.")
        else:
            doc = field.metadata.get("doc", "")
            yield Key(prefix + field.name, hints[field.name], field.default, doc)
