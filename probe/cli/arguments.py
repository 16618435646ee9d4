"""The command line, checked and expanded before Hydra reads it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, Sweep

from probe.cli.frame import Frame
from probe.cli.keys import Key, keys
from probe.cli.mistakes import check_key, check_option, parse, pattern_options, refuse_sweep
from probe.cli.rerun_flag import overrides_of, without_rerun
from probe.cli.shorthand import options_of_paths
from probe.cli.text_words import as_typed, parsed
from probe.cli.typed import Typed, names_of_models, set_in
from probe.config import CONF, Config, group_options
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
    paths : mapping of str to str
        Words for Hydra that stand for a path or a repository, with what was typed.
    typed : Typed
        The groups and keys that are named.
    """

    overrides: list[str]
    jobs: list[list[str]]
    flags: Namespace
    paths: Mapping[str, str] = field(default_factory=dict)
    typed: Typed = field(default_factory=Typed)

    def as_typed(self, words: Sequence[str]) -> list[str]:
        """Put paths and repositories back into words that Hydra had."""
        return [self.paths.get(word, word) for word in words]


def read_arguments(
    arguments: Sequence[str],
    schema: type[Any],
    frame: Frame | None = None,
    base: Config | None = None,
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
    base : Config, optional
        A configuration that the words are laid over, instead of the program's defaults.

    Raises
    ------
    UserError
        For the first mistake, with the closest valid word.
    """
    repeated = overrides_of(arguments)
    flags = _flags(without_rerun(arguments))
    if flags.shell_completion:
        return Arguments([*repeated, *flags.overrides], [], flags)
    options = group_options()
    if flags.config_dir:
        for file in Path(flags.config_dir).glob("*/*.yaml"):
            options.setdefault(file.parent.name, []).append(file.stem)
    known = {key.name: key for key in keys(schema)}
    if flags.package:
        _check_package(flags.package, known)
    read = partial(_read, options=options, known=known, multirun=flags.multirun)
    typed, short = read(flags.overrides)
    earlier, short_before = read(repeated)
    for group, name in (word.split("=") for word in short | short_before):
        options[group].append(name)
    names = [parse(word, options, known).key_or_group for word in [*earlier, *typed]]
    if frame is not None:
        frame.refuse(names)
    words = names_of_models([*earlier, *typed], names, base)
    words = words if frame is None else frame.words(words)
    words = [part for word in _last_layers(words) for part in _expand_layers(word)]
    overrides = [parse(word, options, known) for word in words]
    values = [_values(override, options) for override in overrides]
    for override, each in zip(overrides, values, strict=True):
        group = override.key_or_group
        for value in each if group in options else []:
            check_option(group, value.partition("=")[2].strip("'\""), options[group])
    first = [each[0] for each in values]
    others = [
        [*first[:place], value, *first[place + 1 :]]
        for place, each in enumerate(values)
        for value in each[1:]
    ]
    named = Typed(
        _of_the_user(names[len(earlier) :], frame),
        tuple(_in_files(typed, flags)),
        frozenset(names[: len(earlier)]),
    )
    return Arguments(words, [first, *others], flags, short | short_before, named)


def _read(
    words: Sequence[str],
    options: Mapping[str, list[str]],
    known: Mapping[str, Key],
    multirun: bool,
) -> tuple[list[str], dict[str, str]]:
    """Write words for Hydra, and check their keys; return also what stands for paths."""
    kinds = {name: key.kind for name, key in known.items()}
    written: list[str] = []
    short: dict[str, str] = {}
    for word in words:
        if hide(word) != word:  # overrides are saved with the results, messages in logs
            raise UserError(f"{word.partition('=')[0]} {REFUSAL}")
        written_out, new = options_of_paths(as_typed(word, kinds, multirun), options, multirun)
        override = parse(written_out, options, known)
        if override.is_sweep_override() and not multirun:
            refuse_sweep(override, options, known)
        written.append(written_out)
        short |= new
    for word in written:
        check_key(parse(word, options, known), options, known)
    return written, short


def _of_the_user(names: Sequence[str], frame: Frame | None) -> frozenset[str]:
    """Leave out the other keys of a group whose option a study chooses itself."""
    chosen = tuple(f"{idle[:-1]}." for idle in (frame.idle if frame else ()) if idle.endswith("="))
    return frozenset(name for name in names if not name.startswith(chosen or ("=",)))


def _in_files(typed: Sequence[str], flags: Namespace) -> Iterator[frozenset[str]]:
    """Yield the keys of each chosen file of the user's own; an experiment is always one."""
    folders = [Path(flags.config_dir)] if flags.config_dir else []
    for group, _, option in (word.partition("=") for word in typed):
        for folder in [*folders, *([CONF] if group == "experiment" else [])]:
            file = folder / group / f"{option}.yaml"
            if file.is_file():
                yield frozenset(set_in(file))


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


def _last_layers(words: Sequence[str]) -> Iterator[str]:
    """Leave out the choices of layers that a later one replaces, with their numbers."""
    last = max((place for place, word in enumerate(words) if word.startswith("layers=")), default=0)
    return (word for place, word in enumerate(words) if place >= last or word[:7] != "layers=")


def _expand_layers(word: str) -> list[str]:
    """Write `layers=12` as `layers=single layers.index=12`, also in sweeps and lists."""
    name, _, text = word.partition("=")
    if name != "layers" or not text:
        return [word]
    override = parsed(word)
    value = None if override is None else override.value()
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


def _check_package(package: str, key_names: Iterable[str]) -> None:
    parts = {part for name in key_names for part in accumulate(name.split("."), "{}.{}".format)}
    if package not in parts | {"_global_"} and not package.startswith("hydra"):
        raise UserError(
            f"--package {package} is not a part of the configuration{nearest(package, parts)}"
        )


def _values(override: Override, options: dict[str, list[str]]) -> list[str]:
    """Write a sweep as one override per value."""
    value = override.value()
    name = override.get_key_element()
    if isinstance(value, Glob):
        matches = pattern_options(override, options.get(override.key_or_group, []))
        return [f"{name}={option}" for option in matches]
    if isinstance(value, IntervalSweep):
        raise UserError(f"{override.input_line} lists no values; write {name}=1,2 or range(1,10)")
    if isinstance(value, Sweep):
        return [f"{name}={each}" for each in override.sweep_string_iterator()]
    return [override.input_line or ""]
