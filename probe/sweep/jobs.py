"""The jobs of a sweep, recorded in its folder by the processes that run them."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path

from probe.errors import UserError
from probe.system.files import atomic_write

_JOBS, SUMMARY = "jobs", "summary.json"
UNFINISHED = "it did not finish"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes
    ----------
    overrides : list of str
        Its overrides.
    run : str or None
        The run's folder, whether made or found finished.
    error : str or None
        The error that ended it, if any.
    """

    overrides: list[str]
    run: str | None = None
    error: str | None = None

    @property
    def values(self) -> dict[str, str]:
        """Values of its overrides, by key.

        Examples
        --------
        >>> Job(["layers.index=3", "init=random"]).values
        {'layers.index': '3', 'init': 'random'}
        """
        pairs = (word.partition("=") for word in self.overrides)
        return {key.lstrip("+"): value.strip("'\"") for key, _, value in pairs}


def make_folder(output: str, folder: str | None) -> Path:
    """Make the folder of a sweep: the given one, or one named by the time under `output`.

    All jobs are recorded there, whatever their own `output`.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    try:
        if folder is None:
            return _new(Path(output) / ".sweeps" / time.strftime("%Y-%m-%d_%H-%M-%S"))
        (Path(folder) / _JOBS).mkdir(parents=True, exist_ok=True)
        for old in (Path(folder) / _JOBS).glob("*.json"):
            old.unlink()
        return Path(folder)
    except OSError as error:
        wrong, remedy = (folder, "hydra.sweep.dir=") if folder else (f"output={output}", "output=")
        raise UserError(
            f"{wrong} cannot be written ({error.strerror}); give another folder with {remedy}"
        ) from None


def _new(folder: Path) -> Path:
    """Make a folder of this name, numbered if another sweep started in the same second."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name in chain([folder.name], (f"{folder.name}_{number}" for number in count(2))):
        with suppress(FileExistsError):
            folder.with_name(name).mkdir()
            break
    return folder.with_name(name)


def record_job(sweep: Path, number: int, job: Job) -> None:
    """Record a job, replacing its earlier record."""
    with atomic_write(sweep / _JOBS / f"{number}.json") as unfinished:
        unfinished.write_text(json.dumps(asdict(job)) + "\n", encoding="utf-8")


def read_jobs(sweep: Path) -> list[Job]:
    """Read the records of all jobs, in order."""
    files = sorted((sweep / _JOBS).glob("*.json"), key=lambda file: int(file.stem))
    return [Job(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def failed(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that failed."""
    return [job for job in jobs if job.error is not None]


def varied(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def write_jobs(sweep: Path, jobs: Sequence[Job]) -> None:
    """Write `summary.json`: the jobs and the varied keys."""
    content = {"jobs": [asdict(job) for job in jobs], "varied": varied(jobs)}
    with atomic_write(sweep / SUMMARY) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_summary(sweep: Path) -> tuple[list[Job], list[str]]:
    """Read `summary.json`: the jobs, their runs as paths from here, and the varied keys.

    Raises
    ------
    UserError
        If it is missing or corrupt.
    """
    file = sweep / SUMMARY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        jobs = [Job(**job) for job in content["jobs"]]
        return [replace(job, run=_locate(sweep, job.run)) for job in jobs], content["varied"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is corrupt ({error!r}); run the sweep again") from None


def _locate(sweep: Path, run: str | None) -> str | None:
    """Resolve a run's path against the sweep, which may have been moved with its runs."""
    return str(sweep / run) if run is not None and (sweep / run).exists() else run
