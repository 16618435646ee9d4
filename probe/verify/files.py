"""The files of a run against those listed in its manifest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from probe.runs.manifest import MANIFEST

_CHUNK = 1 << 22
# Written after the manifest or by others: not results.
_UNLISTED = {MANIFEST, "probe.log", "report.html"}
# Pages of single neurons are made when one looks at them.
_UNLISTED_FOLDERS = ("wandb", "page")


def check_files(run: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Hash every listed file; return a fault for each that is missing or changed, by name."""
    wrong = {}
    sizes = [(run / name).stat().st_size for name in files if (run / name).is_file()]
    with tqdm(
        total=sum(sizes), unit="B", unit_scale=True, desc="sha256", disable=None, leave=False,
        delay=2,
    ) as bar:  # fmt: skip
        for name, expected in files.items():
            try:
                actual = _sha256(run / name, bar)
            except OSError as error:
                wrong[name] = f"{name}: expected a file, found none that can be read ({error})"
                continue
            if actual != expected:
                size = (run / name).stat().st_size
                wrong[name] = f"{name}: expected sha256 {expected}, found {actual} ({size} bytes)"
    return wrong


def unlisted(run: Path, files: Mapping[str, str]) -> list[str]:
    """Return a note for each file that is not listed, except those every run may have."""
    names = (
        file.relative_to(run)
        for file in sorted(run.rglob("*"))
        if file.is_file() and file.relative_to(run).parts[0] not in _UNLISTED_FOLDERS
    )
    return [
        f"{name.as_posix()} does not belong to the run: {MANIFEST} does not list it"
        for name in names
        if name.as_posix() not in files and name.as_posix() not in _UNLISTED
    ]


def _sha256(file: Path, bar: "tqdm[None]") -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()
