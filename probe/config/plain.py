"""A configuration as plain JSON types, for files, ranks and W&B."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints, overload

from probe.config.schema import Config
from probe.errors import UserError

Settings = TypeVar("Settings", bound=Config)


def to_plain(config: Config) -> dict[str, Any]:
    """Return dictionaries, lists, strings and numbers only."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(config))))  # its enums are strings


@overload
def from_plain(plain: dict[str, Any]) -> Config: ...
@overload
def from_plain(plain: dict[str, Any], schema: type[Settings]) -> Settings: ...
def from_plain(plain: dict[str, Any], schema: type[Config] = Config) -> Config:
    """Rebuild a configuration; keys that are not there have their defaults.

    Raises
    ------
    UserError
        If a key is unknown, or a value is not of its type.
    """
    return cast(Config, _typed(schema, plain, ""))


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


def _typed(kind: Any, value: Any, name: str) -> Any:
    # OmegaConf does the same in fifty times the time, which each rank of each extraction would
    # wait for, and reads a template's ${...} as its own.
    if isinstance(kind, UnionType):  # of a type and None
        return None if value is None else _typed(get_args(kind)[0], value, name)
    if is_dataclass(kind) and isinstance(value, Mapping):
        return _filled(kind, value, name)
    if get_origin(kind) is list and isinstance(value, list):
        return [_typed(get_args(kind)[0], one, name) for one in value]
    if isinstance(kind, type) and issubclass(kind, Enum) and value in [*kind]:
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind is Any or type(value) is kind:
        return value
    raise UserError(f"{name.rstrip('.')}={value!r} is not of its type")


def _filled(kind: Any, values: Mapping[str, Any], name: str) -> Any:
    types = _types(kind)
    if unknown := min(values.keys() - types.keys(), default=None):
        raise UserError(f"unknown key {name}{unknown}")
    return kind(**{key: _typed(types[key], one, f"{name}{key}.") for key, one in values.items()})


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is not a mapping itself in nested mappings, with its dotted name.

    Examples
    --------
    >>> dict(leaves({"data": {"limit": 3, "perplexity": [1, 99]}, "site": "mlp"}))
    {'data.limit': 3, 'data.perplexity': [1, 99], 'site': 'mlp'}
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
