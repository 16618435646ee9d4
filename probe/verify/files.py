"""The files that a manifest lists, and those that it does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from probe.runs.manifest import MANIFEST

_CHUNK = 1 << 22
# Written after the manifest, or while others write: no result.
_KNOWN = {MANIFEST, "probe.log", "report.html"}
_KNOWN_FOLDERS = ("wandb",)


def check_files(run: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Hash every file that is listed; return a line for each that is not as it was."""
    wrong = {}
    sizes = [(run / name).stat().st_size for name in files if (run / name).is_file()]
    with tqdm(
        total=sum(sizes), unit="B", unit_scale=True, desc="sha256", disable=None, leave=False,
        delay=2,
    ) as bar:  # fmt: skip
        for name, wanted in files.items():
            try:
                found = _sha256(run / name, bar)
            except OSError as error:
                wrong[name] = f"{name}: wanted a file, found none that can be read ({error})"
                continue
            if found != wanted:
                size = (run / name).stat().st_size
                wrong[name] = f"{name}: wanted sha256 {wanted}, found {found} ({size} bytes)"
    return wrong


def unlisted(run: Path, files: Mapping[str, str]) -> list[str]:
    """Name the files that are there and not listed; what every run may have is left out."""
    names = (
        file.relative_to(run)
        for file in sorted(run.rglob("*"))
        if file.is_file() and file.relative_to(run).parts[0] not in _KNOWN_FOLDERS
    )
    return [
        f"{name.as_posix()} is not of the run: {MANIFEST} does not list it"
        for name in names
        if name.as_posix() not in files and name.as_posix() not in _KNOWN
    ]


def _sha256(file: Path, bar: tqdm[None]) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()
