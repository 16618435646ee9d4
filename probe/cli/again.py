"""The flag `--rerun RUN`, taken out of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from yaml import YAMLError

from probe.errors import UserError


def split_rerun(arguments: Sequence[str]) -> tuple[Path, list[str]] | None:
    """Return the run that is to be repeated and compared, and the other words.

    None where `--rerun` is not given, or only stands for a run's overrides: in a sweep, or where
    the configuration is to be shown.
    """
    words = _apart(arguments)
    if "--rerun" not in words or {"-m", "--multirun", "-c", "--cfg", "--info"} & set(words):
        return None
    place = words.index("--rerun")
    if place + 1 == len(words):
        raise UserError("--rerun needs the folder of a run; give it after --rerun")
    return Path(words[place + 1]), [*words[:place], *words[place + 2 :]]


def _apart(arguments: Sequence[str]) -> list[str]:
    """Write `--rerun=RUN` and `--cfg=job` as two words."""
    flags = ("--rerun=", "--cfg=")
    return [
        part
        for word in arguments
        for part in (word.split("=", 1) if word.startswith(flags) else [word])
    ]


def with_overrides(arguments: Sequence[str]) -> list[str]:
    """Put the overrides that made a run in the place of `--rerun RUN`."""
    arguments = _apart(arguments)
    if "--rerun" not in arguments:
        return arguments
    place = arguments.index("--rerun")
    run = Path(arguments[place + 1]) if place + 1 < len(arguments) else Path()
    file = run / "overrides.yaml"
    if not file.is_file():
        raise UserError(f"--rerun needs the folder of a run, and {run} has no overrides.yaml")
    try:
        made_by = OmegaConf.to_container(OmegaConf.load(file))
    except (YAMLError, OSError):
        made_by = None
    if not isinstance(made_by, list) or not all(isinstance(word, str) for word in made_by):
        raise UserError(f"--rerun cannot read {file}; it is no list of overrides")
    return [*made_by, *arguments[:place], *arguments[place + 2 :]]
