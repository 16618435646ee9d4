"""Follow-up studies: the same groups, errors and run folder as the main program."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from probe.config import Config, study_folder
from probe.entry.program import enter
from probe.runs.folder import RunFolder

logger = logging.getLogger(__name__)
Settings = TypeVar("Settings", bound=Config)


def study(
    name: str,
    schema: type[Settings],
    task: Callable[[Settings, Path], dict[str, Any]],
    about: str | None,
    *,
    reads: Callable[[Settings], Iterable[Config]] | None = None,
    look: Callable[[Settings, Path], None] | None = None,
    resumable: bool = False,
) -> NoReturn:
    """Run a study from the command line, and exit.

    Parameters
    ----------
    name : str
        Name of the package under `experiments`, and of the folder under `output`.
    schema : type
        A dataclass that adds a field `study`, the study's own settings, to `Config`.
    task : callable
        Called with the configuration and the study's folder, in which it leaves its files; what
        it returns is written into the manifest.
    about : str
        What the study does, for its help page.
    reads : callable, optional
        Called with the configuration before the task; tells a mistake in it, and returns the
        configurations whose models and texts the task reads. A finished study is found again only
        where these are what they were.
    look : callable, optional
        Called with the configuration and the finished folder, also when it is found again.
    resumable : bool
        Whether the task finds its own files of an earlier try, which were written whole, in its
        folder and goes on from there.
    """

    def run(config: Settings, overrides: list[str], group: str | None) -> Path:
        from probe.tracking import track_study  # not before --help has been answered

        folder = RunFolder(config, study_folder(config, name))
        made_of = _fingerprints(reads(config)) if reads is not None else {}
        with folder.locked():
            if folder.finished(made_of):
                logger.info("%s is finished already; overwrite=true does it again", folder.path)
            else:
                with folder.claimed(overrides, resumable) as work:
                    started = time.monotonic()
                    facts = task(config, work)
                    facts["seconds"] = round(time.monotonic() - started, 3)
                    folder.close(facts | {"fingerprints": made_of})
                where = track_study(config, folder.path, name, group, facts)
                if where is not None:
                    logger.info("W&B run: %s", where)
                logger.info("%s is finished: %s", name, folder.path)
            if look is not None:
                look(config, folder.path)
        return folder.path

    enter(run, schema, f"python -m experiments.{name}", about)


def _fingerprints(configs: Iterable[Config]) -> dict[str, str]:
    """Say which weights and which texts several configurations mean, each once."""
    from probe.pipeline import load  # as above

    found: dict[str, str] = {}
    seen: list[tuple[Any, ...]] = []
    for config in configs:
        parts = config.model, config.init, config.data, config.subject
        if parts not in seen:
            seen.append(parts)
            number = f" {len(seen)}" if len(seen) > 1 else ""
            found |= {name + number: content for name, content in load(config)[1].items()}
    return found
