"""The folder of a run: claimed by one process, complete once it has a manifest."""

import hashlib
import logging
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from probe import __version__
from probe.config import Config, run_folder, to_plain
from probe.errors import UserError
from probe.runs.manifest import FORMAT, MANIFEST, read_manifest, write_manifest
from probe.runs.provenance import git_commit, versions
from probe.system.files import report_full_disk
from probe.system.locks import one_process
from probe.system.logs import logging_to

logger = logging.getLogger(__name__)
# Holds the sums of an unfinished run, see `probe.extraction.checkpoints`. Hidden, as a study may
# have its own folder `checkpoints`.
CHECKPOINTS = ".checkpoints"
# Fingerprints that every version has written.
_ALWAYS = ("model", "data")
# Files in the folder before there is any result.
_BEFORE_WORK = {"config.yaml", "overrides.yaml", "probe.log"}


class RunFolder:
    """The folder of one run, made next to its final place and moved there when complete.

    Parameters
    ----------
    config : Config
        The run; its folder is named by what it computes.
    path : Path, optional
        The folder, if it is not that of a topology.

    Attributes
    ----------
    path : Path
        The finished run. An older one stays until it is replaced.
    work : Path
        The unfinished or failed run: `<path>.unfinished`.
    """

    def __init__(self, config: Config, path: Path | None = None) -> None:
        self.config = config
        self.path = path or run_folder(config)
        self.work = self.path.with_name(self.path.name + ".unfinished")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder.

        Raises
        ------
        UserError
            If another process writes the same run, or the folder cannot be written.
        """

        def refuse() -> None:
            raise UserError(
                f"{self.path} is being written by another process; wait for it, or change the run"
            )

        with one_process(self.config.output, self.path.name, refuse):
            if (self.work / MANIFEST).is_file():
                self._put_in_place()  # complete, but the process ended before it was moved
            yield

    def finished(self, fingerprints: dict[str, str]) -> bool:
        """Whether the run has been done before with the same model and data.

        What its manifest lacks, as those of earlier versions do, is not compared.

        Raises
        ------
        UserError
            If it has been done, but with another model or other data, or its manifest is corrupt.
        """
        if self.config.overwrite or not (self.path / MANIFEST).is_file():
            return False
        before = read_manifest(self.path, "config", "fingerprints", "files")["fingerprints"]
        for name, now in fingerprints.items():
            if before.get(name) != now and (name in before or name in _ALWAYS):
                raise UserError(
                    f"{self.path} was made with another {name} ({before.get(name)} then, {now} "
                    "now); move the folder to keep it, or replace it with overwrite=true"
                )
        return True

    @contextmanager
    def claimed(self, overrides: Sequence[str], resumed: bool = False) -> Iterator[Path]:
        """Make the folder to work in, and also log to its `probe.log` meanwhile.

        Parameters
        ----------
        overrides : sequence of str
            The command line, saved with the results.
        resumed : bool
            Keep all files of an earlier attempt, not only its checkpoints and log; with
            `overwrite=true` nothing is kept.

        Raises
        ------
        UserError
            If the folder cannot be written, or the disk fills up before the run is complete.
        """
        self._clear(resumed)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            for unfinished in self.work.rglob(".*.part"):
                unfinished.unlink()  # of a process that was killed
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); "
                "give another folder with output="
            ) from None
        with report_full_disk(self.work):
            yield from self._working(overrides)

    def _working(self, overrides: Sequence[str]) -> Iterator[Path]:
        earlier = self.path / "probe.log"
        if not self.config.overwrite and earlier.is_file():
            shutil.copy(earlier, self.work)  # the extraction's log, if it is not repeated
        OmegaConf.save(OmegaConf.create(to_plain(self.config)), self.work / "config.yaml")
        # Repeating the run must not replace it.
        words = [word for word in overrides if not word.startswith("overwrite=")]
        OmegaConf.save(OmegaConf.create(words), self.work / "overrides.yaml")
        try:
            with logging_to(self.work / "probe.log"):
                yield self.work
        except UserError:
            if {file.name for file in self.work.rglob("*") if file.is_file()} <= _BEFORE_WORK:
                shutil.rmtree(self.work)
            raise

    def _clear(self, resumed: bool) -> None:
        """Remove what an earlier attempt left, except what is to be reused."""
        resumes = (self.work / CHECKPOINTS).is_dir() and not self.config.overwrite
        if resumed and not self.config.overwrite:
            return
        if not resumes:
            shutil.rmtree(self.work, ignore_errors=True)
            return
        for left in self.work.iterdir():
            if left.is_dir() and left.name != CHECKPOINTS:
                shutil.rmtree(left, ignore_errors=True)
            elif left.is_file() and left.name != "probe.log":
                left.unlink(missing_ok=True)

    def close(self, facts: dict[str, Any]) -> None:
        """Write the manifest and move the run to its place, replacing an older one."""
        checkpoints = self.work / CHECKPOINTS
        files = sorted(
            file
            for file in self.work.rglob("*")
            if file.is_file() and file.name != "probe.log" and checkpoints not in file.parents
        )
        manifest = {
            "format": FORMAT,
            "probe": __version__,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "config": to_plain(self.config),
            **facts,
            "versions": versions(),
            "git": git_commit(),
            "host": {"platform": platform.platform(), "cores": os.cpu_count()},
            "files": {str(file.relative_to(self.work)): _sha256(file) for file in files},
        }
        write_manifest(self.work, manifest)
        self._put_in_place()

    def add(self, files: Iterable[Path], key: str, fact: Any) -> None:
        """Enter files into the manifest of the finished run, each with a fact under a key."""
        manifest = read_manifest(self.path)
        hashes = {str(file.relative_to(self.path)): _sha256(file) for file in files}
        manifest["files"] |= hashes
        manifest[key] = manifest.get(key, {}) | dict.fromkeys(hashes, fact)
        write_manifest(self.path, manifest)

    def _put_in_place(self) -> None:
        # Only once there is a manifest.
        shutil.rmtree(self.work / CHECKPOINTS, ignore_errors=True)
        old = self.path.with_name(self.path.name + ".old")
        if self.path.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.path.rename(old)
        self.work.rename(self.path)
        if (old / "wandb").is_dir():
            (old / "wandb").rename(self.path / "wandb")  # may not be synced yet
        if (old / MANIFEST).is_file() and not self.config.overwrite:
            self._keep_others(old)
        shutil.rmtree(old, ignore_errors=True)

    def _keep_others(self, old: Path) -> None:
        """Carry over files that a user has added to the older run."""
        own = set(read_manifest(old, "files")["files"]) | {MANIFEST, "probe.log"}
        for file in sorted(file for file in old.rglob("*") if file.is_file()):
            name = str(file.relative_to(old))
            if name == "report.html":
                logger.info("the old report.html is gone; python -m probe.report makes a new one")
            elif name not in own and not (self.path / name).exists():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                file.rename(self.path / name)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
