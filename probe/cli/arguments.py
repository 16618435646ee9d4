"""The command line, checked and expanded before Hydra reads it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    OverrideType,
    Sweep,
)
from hydra.errors import HydraException

from probe.cli.frame import Frame
from probe.cli.keys import keys
from probe.cli.rerun_flag import with_overrides
from probe.config import group_options
from probe.errors import UserError, nearest
from probe.system.secrets import REFUSAL, hide


@dataclass(frozen=True)
class Arguments:
    """A command line whose groups, options and keys exist.

    Attributes
    ----------
    overrides : list of str
        Words for Hydra, with `layers=12` written out.
    jobs : list of list of str
        Command lines of single runs that together use every value of every sweep.
    flags : Namespace
        Hydra's own flags.
    """

    overrides: list[str]
    jobs: list[list[str]]
    flags: Namespace


def read_arguments(
    arguments: Sequence[str], schema: type[Any], frame: Frame | None = None
) -> Arguments:
    """Parse a command line.

    Parameters
    ----------
    arguments : sequence of str
        Its words.
    schema : type
        The configuration that they set.
    frame : Frame, optional
        What of it is read, and the words that come first; by default all, and none.

    Raises
    ------
    UserError
        For the first mistake, with the closest valid word.
    """
    flags = _flags(with_overrides(arguments))
    if flags.shell_completion:
        return Arguments(flags.overrides, [], flags)
    options = group_options()
    if flags.config_dir:
        for file in Path(flags.config_dir).glob("*/*.yaml"):
            options.setdefault(file.parent.name, []).append(file.stem)
    key_names = {key.name for key in keys(schema)}
    if flags.package:
        _check_package(flags.package, key_names)
    for word in flags.overrides:
        if hide(word) != word:  # overrides are saved with the results, messages in logs
            raise UserError(f"{word.partition('=')[0]} {REFUSAL}")
        _check_sweep(_parse(word), options, flags.multirun)
    former = {key.was: key.name for key in keys(schema) if key.was}
    for word in flags.overrides:
        _check_key(_parse(word), options, key_names, former)
    if frame is not None:
        frame.refuse([_parse(word).key_or_group for word in flags.overrides])
        flags.overrides = frame.words(flags.overrides)
    words = [part for word in flags.overrides for part in _expand_layers(word)]
    overrides = [_parse(word) for word in words]
    names = [override.key_or_group for override in overrides]
    if "layers.index" in names and "layers" not in names:
        raise UserError("layers.index alone changes nothing; write layers=3 or layers=[3,7]")
    values = [_values(override, options) for override in overrides]
    for group, each in zip(names, values, strict=True):
        for value in each if group in options else []:
            _check_option(group, value.partition("=")[2].strip("'\""), options[group])
    base = [each[0] for each in values]
    others = [
        [*base[:place], value, *base[place + 1 :]]
        for place, each in enumerate(values)
        for value in each[1:]
    ]
    return Arguments(words, [base, *others], flags)


def _flags(arguments: Sequence[str]) -> Namespace:
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists the flags")

    parser.error = refuse  # type: ignore[method-assign]
    flags = parser.parse_intermixed_args(list(arguments))
    for name in ("config_name", "config_path"):
        if getattr(flags, name):
            raise UserError(
                f"--{name.replace('_', '-')} is not supported; "
                "use --config-dir for a folder of your own options"
            )
    modes = [name for name in ("run", "multirun", "cfg", "info") if getattr(flags, name)]
    if len(modes) > 1:
        raise UserError(f"--{modes[0]} and --{modes[1]} cannot be given together")
    if flags.resolve and not flags.cfg:
        raise UserError("--resolve needs --cfg")
    for override in flags.overrides:
        if override.startswith("-"):
            raise UserError(f"unknown flag {override}; --help lists the flags")
    if flags.config_dir and not Path(flags.config_dir).is_dir():
        raise UserError(f"--config-dir {flags.config_dir} is not a folder")
    return flags


def _expand_layers(word: str) -> list[str]:
    """Write `layers=12` as `layers=single layers.index=12`, also in sweeps and lists."""
    name, _, text = word.partition("=")
    if name != "layers" or not text:
        return [word]
    value = _parse(word).value()
    if isinstance(value, Glob | IntervalSweep):
        return [word]
    values: list[Any] = list(value.list) if isinstance(value, ChoiceSweep) else [value]
    options = [str(v) for v in values if isinstance(v, str) or hasattr(v, "text")]
    if not options:
        return ["layers=single", f"layers.index={text}"]
    if len(options) < len(values):
        raise UserError(
            f"layers={text} mixes numbers and {options[0]}; sweep over one kind at a time"
        )
    if any(option.lstrip("-").isdigit() for option in options):
        raise UserError(f"layers={text} must be a number from 0 up or a list of them")
    return [word]


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        text = text.replace("\n", "\\n")  # a mistake costs one line
        key, equals, value = text.partition("=")
        if any(value.count(opened) > value.count(closed) for opened, closed in ("[]", "{}", "()")):
            raise UserError(f"cannot read the argument '{text}'; a bracket is not closed") from None
        hint = f"; quote the value twice: '{key}=\"{value}\"'" if equals else "; write key=value"
        raise UserError(f"cannot read the argument '{text}'{hint}") from None


def _check_package(package: str, key_names: set[str]) -> None:
    parts = {part for name in key_names for part in accumulate(name.split("."), "{}.{}".format)}
    if package not in parts | {"_global_"} and not package.startswith("hydra"):
        raise UserError(
            f"--package {package} is not a part of the configuration{nearest(package, parts)}"
        )


def _check_sweep(override: Override, options: dict[str, list[str]], multirun: bool) -> None:
    if override.is_sweep_override() and not multirun:
        name = override.get_key_element()
        or_list = f", or write one list, {name}=[…]"
        group = override.key_or_group in options and name != "layers"
        raise UserError(
            f"{override.input_line} gives several values; add -m to sweep over them"
            + ("" if group or isinstance(override.value(), Glob) else or_list)
        )


def _check_key(
    override: Override,
    options: dict[str, list[str]],
    key_names: set[str],
    former: Mapping[str, str],
) -> None:
    key = override.key_or_group
    if key in former:
        raise UserError(f"{key} is called {former[key]} now; write {former[key]}=…")
    if key.startswith(("hydra.", "hydra/")):
        return
    if override.type is OverrideType.DEL:
        raise UserError(
            f"{override.input_line} would remove a key; set it to null or false instead"
        )
    if key in key_names or key in options:
        if override.type is OverrideType.ADD:
            raise UserError(f"{override.input_line} adds nothing new; leave out the +")
        return
    if any(name.startswith(f"{key}.") for name in key_names):
        raise UserError(f"{key} is a part of the configuration; set one of its keys, {key}.…=")
    shared = key.removeprefix("study.")
    if shared != key and shared in {*options, *key_names}:
        raise UserError(f"unknown key '{key}'; write {shared}=…, as for any run")
    prefix = key.rpartition(".")[0]
    near = sorted(name for name in key_names | set(options) if name.rpartition(".")[0] == prefix)
    if near:
        hint = nearest(key.rpartition(".")[2], [name.rpartition(".")[2] for name in near])
        hint = hint.replace("mean '", f"mean '{prefix}.") if prefix else hint
    else:
        hint = nearest(key, key_names)
    hint = hint or f"; choose from {', '.join(near or options)}"
    kind = "key" if "." in key else "group or key"
    raise UserError(f"unknown {kind} '{key}'{hint}")


def _check_option(group: str, value: str, options: list[str]) -> None:
    if value not in options:
        hint = nearest(value, options) or f"; choose from {', '.join(options)}"
        raise UserError(f"{group}={value} is unknown{hint}")


def _values(override: Override, options: dict[str, list[str]]) -> list[str]:
    """Write a sweep as one override per value."""
    value = override.value()
    name = override.get_key_element()
    if isinstance(value, Glob):
        matches = value.filter(options.get(override.key_or_group, []))
        if not matches:
            raise UserError(f"{override.input_line} matches no option")
        return [f"{name}={option}" for option in matches]
    if isinstance(value, IntervalSweep):
        raise UserError(f"{override.input_line} lists no values; write {name}=1,2 or range(1,10)")
    if isinstance(value, Sweep):
        return [f"{name}={each}" for each in override.sweep_string_iterator()]
    return [override.input_line or ""]
