"""Compose a configuration, and explain in one sentence what is wrong with it."""

import os
import re
import shlex
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, ValidationError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from probe.cli.arguments import Arguments
from probe.cli.composition import composition
from probe.cli.keys import keys
from probe.cli.mistakes import choices
from probe.cli.text_words import parsed, quoted
from probe.cli.typed import Typed
from probe.config import SWEPT, Config, check, group_options
from probe.errors import UserError, causes, nearest

Settings = TypeVar("Settings", bound=Config)
_NO_SUBJECTS = (
    "this data set has no subjects; leave subject= out, or use data=mmlu, mmlu_pro or sample"
)


def compose_config(
    overrides: Sequence[str],
    schema: type[Config] = Config,
    config_dir: str | None = None,
    base: Config | None = None,
    named: Typed | None = None,
    lenient: Collection[str] = (),
) -> Config:
    """Compose the configuration of a single run, without running it.

    Parameters
    ----------
    overrides : sequence of str
        Words of the command line, layer numbers written out.
    schema : type
        `Config`, or a dataclass that adds to it.
    config_dir : str, optional
        A folder with more options.
    base : Config, optional
        Values to start from instead of the schema's defaults.
    named : Typed, optional
        What was typed, to refuse what is not read.
    lenient : collection of str
        Typed keys that need not be read.

    Raises
    ------
    UserError
        For the first mistake.
    """
    try:
        config = _built(composition(overrides, schema, config_dir, base), schema)
        if named is not None:
            named.refuse_unread(config, lenient)
        check(config)
        return config
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(_explain(error, schema, overrides)) from None
    except AssertionError:  # OmegaConf's, for a key of a part that is null
        if any(word.startswith("subject.") for word in overrides):
            raise UserError(_NO_SUBJECTS) from None
        raise


def compose_jobs(arguments: Arguments, schema: type[Settings]) -> list[Settings]:
    """Compose the configurations of a command line's jobs.

    Raises
    ------
    UserError
        For the first mistake; also for a typed key that none of the jobs reads.
    """
    named, config_dir = arguments.typed, arguments.flags.config_dir
    lenient = SWEPT if len(arguments.jobs) > 1 else ()
    configs = []
    for words in arguments.jobs:
        config = compose_config(words, schema, config_dir, named=named, lenient=lenient)
        assert isinstance(config, schema)
        configs.append(config)
    for name in lenient:
        left = [[one for one in named.unread(config) if one.name == name] for config in configs]
        if all(left):
            raise UserError(str(left[0][0]))
    return configs


def typed(composed: DictConfig, schema: type[Config] = Config) -> Config:
    """Turn a composed configuration into dataclasses, and check it.

    Raises
    ------
    UserError
        If a value is missing or cannot work.
    """
    config = _built(composed, schema)
    check(config)
    return config


def _built(composed: DictConfig, schema: type[Config]) -> Config:
    missing = sorted(OmegaConf.missing_keys(composed))
    declared = {key.name: key for key in keys(schema)}
    if missing:
        doc = declared[missing[0]].doc.rstrip(".") if missing[0] in declared else ""
        raise UserError(f"{missing[0]} is missing; give {missing[0]}=…  ({doc})")
    config = OmegaConf.to_object(composed)
    assert isinstance(config, schema)
    for name in (name for name, key in declared.items() if key.path):
        *parents, last = name.split(".")
        part = attrgetter(".".join(parents))(config) if parents else config
        if (path := getattr(part, last)) is not None:
            setattr(part, last, _at_home(path))
    return config


def _at_home(path: Any) -> Any:
    """Expand `~`, also in each path of a list."""
    return [_at_home(one) for one in path] if isinstance(path, list) else os.path.expanduser(path)  # noqa: PTH111


def _explain(error: Exception, schema: type[Any], words: Sequence[str]) -> str:
    chain = [*causes(error)]
    # OmegaConf's errors have causes only where something traces.
    cause = next((one for one in chain if isinstance(one, OmegaConfBaseException)), chain[-1])
    text = str(cause).strip()
    if "Could not override 'subject'" in str(error):
        return _NO_SUBJECTS
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())
    first = text.splitlines()[0] if text else type(cause).__name__
    unknown = re.search(r"Key '(\w+)' not in '(\w+)'", text)
    if unknown:
        word = unknown[1]
        where = re.search(r"full_key: (\S+)", text)
        name = where[1] if where else word
        return f"unknown key '{name}'{nearest(name, [key.name for key in keys(schema)])}"
    if isinstance(cause, ValidationError) or "ValidationError" in first:
        return _wrong_value(str(error), text, schema)
    option = re.search(r"Could not find '([\w/]+)/([^'/]+)'", str(error))
    if option and option[1] == "hydra/launcher":
        return (
            f"hydra/launcher={option[2]} is not installed; pip install '.[cluster]' brings "
            "joblib, submitit_local and submitit_slurm"
        )
    if option:
        options = group_options().get(option[1], [])
        hint = nearest(option[2], options) or f"; choose from {choices(option[1], options)}"
        return f"{option[1]}={option[2]} is unknown{hint}"
    return first + _as_text(first, words)


def _as_text(error: str, words: Sequence[str]) -> str:
    """Say how to write a text that was read as a reference to another key."""
    for name, _, value in (word.partition("=") for word in words):
        if "${" in value and "nterpolation" in error:
            text = parsed(f"a={value}")
            plain = str(getattr(text.value(), "text", text.value())) if text else value
            return f"; for the text itself write {shlex.quote(f'{name}={quoted(plain)}')}"
    return ""


def _wrong_value(error: str, text: str, schema: type[Any]) -> str:
    """Name the key, the value it got and the type it takes."""
    where = re.search(r"full_key: (\S+)", text)
    name = where[1] if where else ""
    value = re.search(r"[Vv]alue '([^']*)'", text)
    got = f"={value[1]}" if value else ""
    whole, of_list, _ = name.partition("[")
    for key in keys(schema):
        if of_list and key.name == whole:
            return f"{name}{got} has the wrong type for {whole} ({key.doc.rstrip('.')})"
        if key.name == name and key.choices:
            hint = nearest(value[1] if value else "", key.choices)
            return f"{name}{got} is not one of {', '.join(key.choices)}{hint}"
        if key.name == name:
            return f"{name}{got} must be {key.type_name} ({key.doc.rstrip('.')})"
    return text.splitlines()[0] if text else error
