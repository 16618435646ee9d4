"""The flag `--rerun RUN`: repeat a run, or reuse its overrides."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from yaml import YAMLError

from probe.errors import UserError


def split_rerun(arguments: Sequence[str]) -> tuple[Path, list[str]] | None:
    """Return the run to repeat and compare with, and the other words.

    None without `--rerun`, and where it only stands for a run's overrides: in a sweep, or where the
    configuration is to be shown.
    """
    words = _split_flags(arguments)
    if "--rerun" not in words or {"-m", "--multirun", "-c", "--cfg", "--info"} & set(words):
        return None
    place = words.index("--rerun")
    if place + 1 == len(words):
        raise UserError("--rerun needs the folder of a run; give it after --rerun")
    return Path(words[place + 1]), [*words[:place], *words[place + 2 :]]


def _split_flags(arguments: Sequence[str]) -> list[str]:
    """Write `--rerun=RUN` and `--cfg=job` as two words."""
    flags = ("--rerun=", "--cfg=")
    return [
        part
        for word in arguments
        for part in (word.split("=", 1) if word.startswith(flags) else [word])
    ]


def without_rerun(arguments: Sequence[str]) -> list[str]:
    """Return a command line without `--rerun RUN`."""
    arguments = _split_flags(arguments)
    if "--rerun" not in arguments:
        return arguments
    place = arguments.index("--rerun")
    return [*arguments[:place], *arguments[place + 2 :]]


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of the run in `--rerun RUN`, which come first; none without it."""
    arguments = _split_flags(arguments)
    if "--rerun" not in arguments:
        return []
    place = arguments.index("--rerun")
    run = Path(arguments[place + 1]) if place + 1 < len(arguments) else Path()
    file = run / "overrides.yaml"
    if not file.is_file():
        raise UserError(f"--rerun needs the folder of a run, and {run} has no overrides.yaml")
    try:
        overrides = OmegaConf.to_container(OmegaConf.load(file))
    except (YAMLError, OSError):
        overrides = None
    if not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        raise UserError(f"--rerun cannot read {file}; it is not a list of overrides")
    return [str(word) for word in overrides]
