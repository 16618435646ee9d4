"""Command-line words laid over a finished configuration."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from probe.cli.arguments import read_arguments
from probe.cli.compose import compose_config
from probe.config import Config, group_options
from probe.errors import UserError

Settings = TypeVar("Settings", bound=Config)
# Groups that conf/config.yaml does not list: an experiment is none by default, and the option of
# `data` brings its subject.
_UNLISTED = {"experiment", "subject"}


def overlay(config: Settings, words: Sequence[str]) -> Settings:
    """Return a configuration in which only what the words name is changed.

    A key is set to its value, default or not. An option of a group, such as `model=gpt2`, replaces
    all keys of the group and sets what its file sets elsewhere (`layers=full` turns
    `average.halves` off); an option of `data` brings its subject.

    Parameters
    ----------
    config : Config
        A finished configuration, of the program or of a study; it is not modified.
    words : sequence of str
        As on the command line of a single run.

    Raises
    ------
    UserError
        If a word is mistyped, or the result cannot work.
    """
    arguments = read_arguments(words, type(config), base=config)
    if len(arguments.jobs) != 1:
        raise UserError("these overrides are a sweep; give those of a single run")
    named = {word.partition("=")[0] for word in arguments.overrides} & group_options().keys()
    if "experiment" in named:
        raise UserError("experiment= cannot be laid over another configuration; give its keys")
    replaced = named | {"subject"} if "data" in named else named
    base = replace(config, **{part: getattr(Config(), part) for part in replaced})
    overrides = list(arguments.jobs[0])
    if "data" not in named and config.subject is not None:
        overrides = [f"+{word}" if word.startswith("subject=") else word for word in overrides]
    absent = [f"~{group}" for group in group_options() if group not in named | _UNLISTED]
    config_dir = arguments.flags.config_dir
    result = compose_config([*absent, *overrides], type(config), config_dir, base, arguments.typed)
    assert isinstance(result, type(config))
    return result
