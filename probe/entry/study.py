"""Studies: the same command line, error messages and run folder as the main program."""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from probe.cli import Frame
from probe.config import Config, StudyConfig, old_study_folder, study_folder
from probe.entry.program import Program, enter
from probe.runs.folder import RunFolder
from probe.runs.manifest import MANIFEST
from probe.system.importing import importing

logger = logging.getLogger(__name__)
Settings = TypeVar("Settings", bound=StudyConfig)


def study(
    name: str,
    schema: type[Settings],
    task: str,
    *,
    reads: Callable[[Settings], Iterable[Config | Path]] | None = None,
    idle: Mapping[str, str] | Collection[str] = (),
    defaults: Sequence[str] = (),
    look: str | None = None,
    resumes: bool = False,
) -> NoReturn:
    """Run a study from the command line, and exit.

    Parameters
    ----------
    name : str
        Name of the folder under `output`.
    schema : type
        A dataclass that extends `StudyConfig` by a field `study`, the study's own settings.
    task : str
        `package.module:function`, imported when it is called; the package's docstring describes
        the study. Called with the configuration and the study's folder, where it writes its files;
        returns facts for the manifest, of which the numbers in `headline` sum up a sweep.
    reads : callable, optional
        Called with the configuration before the task; raises an error if it is invalid, and
        returns the configurations whose models and texts the task reads, and other files that it
        does. A finished study is reused only if all these are unchanged.
    idle : collection or mapping of str
        Groups and keys of the program that the study does not read, and what to give instead; they
        are refused if typed. A study without `data`, or without `model`, reads none.
    defaults : sequence of str
        The study's own defaults of the program's keys, as words.
    look : str, optional
        `package.module:function`, called with the configuration and the finished folder, even if
        it is reused.
    resumes : bool
        Whether the task can resume from files that an earlier attempt left in its folder; these
        must have been written atomically.
    """
    package = task.rpartition(".")[0]
    command = f"python -m {package}"
    unread = dict(idle) if isinstance(idle, Mapping) else dict.fromkeys(idle, "")
    unread |= dict.fromkeys(("figures=", "figures.draw"), "a study draws all its figures")
    unread["figures.max_r"] = "a study's colours have limits of their own"
    place = partial(_folder, name=name, idle=unread, renamed=not defaults)

    def run(config: Settings, overrides: list[str], group: str | None) -> Path:
        from probe.tracking import track_study  # imported late, for a fast --help

        folder = RunFolder(config, place(config))
        fingerprints = {} if reads is None else _fingerprints(reads(config), "data" not in unread)
        with folder.locked():
            if folder.finished(fingerprints):
                logger.info("%s is already finished; overwrite=true runs it again", folder.path)
            else:
                with folder.claimed(overrides, resumes) as work:
                    started = time.monotonic()
                    facts = _imported(task)(config, work)
                    facts["seconds"] = round(time.monotonic() - started, 3)
                    about = {"study": name, "command": command, "fingerprints": fingerprints}
                    folder.close(facts | about)
                where = track_study(config, folder.path, name, group, facts)
                if where is not None:
                    logger.info("W&B run: %s", where)
                logger.info("%s is finished: %s", name, folder.path)
            if look is not None:
                _imported(look)(config, folder.path)
        return folder.path

    enter(
        Program(
            run, schema, command, import_module(package).__doc__, _summarise,
            Frame(unread, defaults), partial(study_folder, name=name, idle=unread), resumes,
        )
    )  # fmt: skip


def _folder(config: Config, name: str, idle: Collection[str], renamed: bool) -> Path:
    """Return a study's folder; if it is not there, one of before folders were named as runs'.

    Those of a study with defaults of its own are not taken: it had none when they were made, so
    the same configuration meant another one.
    """
    path, old = study_folder(config, name, idle), old_study_folder(config, name)
    found = renamed and (old / MANIFEST).is_file() and not config.overwrite
    return old if found and not (path / MANIFEST).is_file() else path


def _imported(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    with importing(module):
        imported: Callable[..., Any] = getattr(import_module(module), name)
    return imported


def _summarise(sweep: Path, config: Config) -> None:
    from probe.sweep.studies import summarise_studies

    summarise_studies(sweep, config)


def _fingerprints(read: Iterable[Config | Path], texts: bool) -> dict[str, str]:
    """Return the fingerprints of several configurations' weights and texts, and of files."""
    with importing("probe.pipeline"):
        from probe.models import model_fingerprint
        from probe.pipeline import load

    fingerprints: dict[str, str] = {}
    seen: list[tuple[Any, ...]] = []
    for config in read:
        if isinstance(config, Path):
            with config.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            fingerprints[str(config)] = f"sha256 {digest}"
            continue
        parts = config.model, config.init, *((config.data, config.subject) if texts else ())
        if parts not in seen:
            seen.append(parts)
            number = f" {len(seen)}" if len(seen) > 1 else ""
            if texts:
                own = load(config)[1]
            else:
                own = {"model": model_fingerprint(config.model, config.init)}
            fingerprints |= {name + number: value for name, value in own.items()}
    return fingerprints
