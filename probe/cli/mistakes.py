"""What is said of a word that cannot be read, is unknown, or gives several values."""

import shlex
from collections.abc import Mapping, Sequence
from typing import NoReturn

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, OverrideType

from probe.cli.keys import Key
from probe.cli.text_words import parsed, quoted
from probe.errors import UserError, nearest

# Keys named at most for a word that is the end of several.
_FEW = 4
# What groups can be besides their options.
MORE = {
    "layers": "numbers: layers=12, layers=[3,7]",
    "model": "a folder or a repository: model=./DIR, model=ORG/NAME",
    "data": "texts of your own: data=FILE, data=FOLDER",
}


def parse(text: str, options: Mapping[str, Sequence[str]], keys: Mapping[str, Key]) -> Override:
    """Parse a word.

    Raises
    ------
    UserError
        If it is not of Hydra's grammar, with what to write instead.
    """
    override = parsed(text)
    if override is None:
        shown = text.replace("\n", "\\n")  # a mistake costs one line
        raise UserError(f"cannot read the argument '{shown}'{_instead(text, options, keys)}")
    return override


def _instead(text: str, options: Mapping[str, Sequence[str]], keys: Mapping[str, Key]) -> str:
    name, equals, value = text.partition("=")
    if not equals:
        return "; write key=value"
    if any(value.count(opened) > value.count(closed) for opened, closed in ("[]", "{}", "()")):
        return "; a bracket is not closed"
    if name in options:
        return f"; choose from {choices(name, options[name])}"
    if name in keys:
        return f"; {name} must be {keys[name].type_name}"
    return f"; quote the value twice: {shlex.quote(f'{name}={quoted(value)}')}"


def refuse_sweep(
    override: Override, options: Mapping[str, Sequence[str]], keys: Mapping[str, Key]
) -> NoReturn:
    """Raise `UserError` for several values without -m, with what else they could have meant."""
    name, value = override.get_key_element(), override.value()
    _, _, text = (override.input_line or "").partition("=")
    simple = isinstance(value, ChoiceSweep) and value.simple_form
    key = keys.get(override.key_or_group)
    numbers = isinstance(value, ChoiceSweep) and all(isinstance(v, int) for v in value.list)
    hint = ""
    if simple and (key.takes_lists if key else name == "layers" and numbers):
        hint = f", or write one list, {shlex.quote(f'{name}=[{text}]')}"
    elif simple and key and key.takes_texts:
        hint = f", or quote the value twice: {shlex.quote(f'{name}={quoted(text)}')}"
    raise UserError(f"{override.input_line} gives several values; add -m to sweep over them{hint}")


def check_key(
    override: Override, options: Mapping[str, Sequence[str]], keys: Mapping[str, Key]
) -> None:
    """Raise `UserError` if a word's key is unknown, was renamed, or would be removed."""
    key = override.key_or_group
    former = {one.was: one.name for one in keys.values() if one.was}
    if key in former:
        raise UserError(f"{key} is called {former[key]} now; write {former[key]}=…")
    if key.startswith(("hydra.", "hydra/")):
        return
    if override.type is OverrideType.DEL:
        raise UserError(
            f"{override.input_line} would remove a key; set it to null or false instead"
        )
    if key in keys or key in options:
        if override.type is OverrideType.ADD:
            raise UserError(f"{override.input_line} adds nothing new; leave out the +")
        return
    if any(name.startswith(f"{key}.") for name in keys):
        raise UserError(f"{key} is a part of the configuration; set one of its keys, {key}.…=")
    shared = key.removeprefix("study.")
    if shared != key and shared in {*options, *keys}:
        raise UserError(f"unknown key '{key}'; write {shared}=…, as for any run")
    kind = "key" if "." in key else "group or key"
    raise UserError(f"unknown {kind} '{key}'{_near(key, options, keys)}")


def _near(key: str, options: Mapping[str, Sequence[str]], keys: Mapping[str, Key]) -> str:
    """Name the keys that end with a word, else the nearest of its part, else all of these."""
    ending = sorted(name for name in keys if name.endswith(f".{key}"))
    if 0 < len(ending) <= _FEW:
        return f"; did you mean {' or '.join(map(repr, ending))}?"
    prefix = key.rpartition(".")[0]
    near = sorted(name for name in {*keys, *options} if name.rpartition(".")[0] == prefix)
    if not near:
        return nearest(key, keys) or f"; choose from {', '.join(options)}"
    last = {name.rpartition(".")[2]: name for name in near}
    hint = nearest(key.rpartition(".")[2], last)
    if not hint and not prefix:
        last = {name.rpartition(".")[2]: name for name in keys}
        hint = nearest(key, last)
    for word, name in last.items():
        hint = hint.replace(f"mean '{word}'", f"mean '{name}'")
    return hint or f"; choose from {', '.join(near)}"


def check_option(group: str, value: str, options: Sequence[str]) -> None:
    """Raise `UserError` if a group has no such option."""
    if value in options:
        return
    beginning = [option for option in options if value and option.startswith(value.lower())]
    if len(beginning) > 1:
        raise UserError(f"{group}={value} is unknown; choose from {', '.join(beginning)}")
    hint = nearest(value.lower(), options) or f"; choose from {choices(group, options)}"
    raise UserError(f"{group}={value} is unknown{hint}")


def choices(group: str, options: Sequence[str]) -> str:
    """List what a group can be.

    Examples
    --------
    >>> choices("layers", ["all", "each"])
    'all, each, or numbers: layers=12, layers=[3,7]'
    """
    return ", ".join([*options, *([f"or {MORE[group]}"] if group in MORE else [])])


def pattern_options(override: Override, options: Sequence[str]) -> list[str]:
    """Return the options that a pattern finds.

    Raises
    ------
    UserError
        If there are none.
    """
    value = override.value()
    assert isinstance(value, Glob)
    matches: list[str] = value.filter(list(options))
    if not matches:
        raise UserError(f"{override.input_line} matches no option")
    return matches
