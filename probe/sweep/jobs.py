"""The jobs of a sweep, recorded in its folder by whichever process does them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path

from probe.errors import UserError
from probe.system.files import atomic_write

_JOBS, SUMMARY = "jobs", "summary.json"
UNFINISHED = "it did not come to its end"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes
    ----------
    overrides : list of str
        Its command line.
    run : str or None
        The run's folder, where it made one or found it finished.
    error : str or None
        What ended it, where anything did.
    """

    overrides: list[str]
    run: str | None = None
    error: str | None = None

    @property
    def values(self) -> dict[str, str]:
        """The values of its overrides, by key.

        Examples
        --------
        >>> Job(["layers.index=3", "init=random"]).values
        {'layers.index': '3', 'init': 'random'}
        """
        pairs = (word.partition("=") for word in self.overrides)
        return {key.lstrip("+"): value.strip("'\"") for key, _, value in pairs}


def make_folder(output: str, given: str | None) -> Path:
    """Make the folder of a sweep, named by the clock under `output` unless one is given.

    All jobs write there, also those that have an `output` of their own.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    try:
        if given is None:
            return _new(Path(output) / ".sweeps" / time.strftime("%Y-%m-%d_%H-%M-%S"))
        (Path(given) / _JOBS).mkdir(parents=True, exist_ok=True)
        for old in (Path(given) / _JOBS).glob("*.json"):
            old.unlink()
        return Path(given)
    except OSError as error:
        wrong, remedy = (given, "hydra.sweep.dir=") if given else (f"output={output}", "output=")
        raise UserError(
            f"{wrong} cannot be written ({error.strerror}); give another folder with {remedy}"
        ) from None


def _new(folder: Path) -> Path:
    """Make a folder that nobody else has, whose sweep may have begun in the same second."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name in chain([folder.name], (f"{folder.name}_{number}" for number in count(2))):
        with suppress(FileExistsError):
            folder.with_name(name).mkdir()
            break
    return folder.with_name(name)


def record_job(sweep: Path, number: int, job: Job) -> None:
    """Note a job down, in the place of what was noted of it before."""
    with atomic_write(sweep / _JOBS / f"{number}.json") as unfinished:
        unfinished.write_text(json.dumps(asdict(job)) + "\n", encoding="utf-8")


def read_jobs(sweep: Path) -> list[Job]:
    """Read the records of all jobs, in their order."""
    files = sorted((sweep / _JOBS).glob("*.json"), key=lambda file: int(file.stem))
    return [Job(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def failed(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that failed."""
    return [job for job in jobs if job.error is not None]


def varied(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose value is not the same in all jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def write_jobs(sweep: Path, jobs: Sequence[Job]) -> None:
    """Write `summary.json`: the jobs, and the keys that vary."""
    content = {"jobs": [asdict(job) for job in jobs], "varied": varied(jobs)}
    with atomic_write(sweep / SUMMARY) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
