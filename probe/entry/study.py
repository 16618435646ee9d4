"""Studies: the same command line, error messages and run folder as the main program."""

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
        Name of the package under `experiments` and of the folder under `output`.
    schema : type
        A dataclass that extends `Config` by a field `study`, the study's own settings.
    task : callable
        Called with the configuration and the study's folder, where it writes its files; returns
        facts for the manifest.
    about : str
        Description of the study, for its help page.
    reads : callable, optional
        Called with the configuration before the task; raises an error if it is invalid, and
        returns the configurations whose models and texts the task reads. A finished study is
        reused only if these are unchanged.
    look : callable, optional
        Called with the configuration and the finished folder, even if it is reused.
    resumable : bool
        Whether the task can resume from files that an earlier attempt left in its folder; these
        must have been written atomically.
    """

    def run(config: Settings, overrides: list[str], group: str | None) -> Path:
        from probe.tracking import track_study  # imported late, for a fast --help

        folder = RunFolder(config, study_folder(config, name))
        fingerprints = _fingerprints(reads(config)) if reads is not None else {}
        with folder.locked():
            if folder.finished(fingerprints):
                logger.info("%s is already finished; overwrite=true runs it again", folder.path)
            else:
                with folder.claimed(overrides, resumable) as work:
                    started = time.monotonic()
                    facts = task(config, work)
                    facts["seconds"] = round(time.monotonic() - started, 3)
                    folder.close(facts | {"fingerprints": fingerprints})
                where = track_study(config, folder.path, name, group, facts)
                if where is not None:
                    logger.info("W&B run: %s", where)
                logger.info("%s is finished: %s", name, folder.path)
            if look is not None:
                look(config, folder.path)
        return folder.path

    enter(run, schema, f"python -m experiments.{name}", about)


def _fingerprints(configs: Iterable[Config]) -> dict[str, str]:
    """Return the fingerprints of the weights and texts of several configurations, each once."""
    from probe.pipeline import load  # imports torch

    fingerprints: dict[str, str] = {}
    seen: list[tuple[Any, ...]] = []
    for config in configs:
        parts = config.model, config.init, config.data, config.subject
        if parts not in seen:
            seen.append(parts)
            number = f" {len(seen)}" if len(seen) > 1 else ""
            fingerprints |= {name + number: value for name, value in load(config)[1].items()}
    return fingerprints
