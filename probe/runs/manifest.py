"""`manifest.json`, which closes a run: sealed here, and read here and nowhere else."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.system.files import atomic_write

MANIFEST = "manifest.json"
FORMAT = 2


def write_manifest(run: Path, content: Mapping[str, Any]) -> None:
    """Seal a manifest and write it, whole or not at all."""
    # Keys that are numbers become words, which are sorted otherwise.
    as_read = json.loads(json.dumps(content))
    sealed = {**as_read, "sha256": seal(as_read)}
    with atomic_write(run / MANIFEST) as unfinished:
        unfinished.write_text(json.dumps(sealed, indent=1) + "\n")


def read_manifest(run: str | os.PathLike[str], *keys: str) -> dict[str, Any]:
    """Read the manifest of a finished run.

    Parameters
    ----------
    run : path
        The run's folder.
    *keys : str
        Keys that it must have; `topologies` must not be empty either, which those of studies are.

    Raises
    ------
    UserError
        If there is none, it is not what was once written, or lacks a key.
    """
    file = _file(run)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        problem = _problem(content, keys)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{run} is not a finished run: it has no {MANIFEST}; give a run's folder"
        ) from None
    except (OSError, ValueError) as error:
        problem = f"it cannot be read: {error}"
    if problem is not None:
        raise UserError(
            f"{file} is corrupt ({problem}); move the folder to keep it, or do the run again with "
            "overwrite=true"
        )
    if "topologies" in keys and not content.get("topologies"):
        raise UserError(f"{run} has no topologies; give the folder of a run of python -m probe")
    return dict(content)


def _file(run: str | os.PathLike[str]) -> Path:
    try:
        return Path(run) / MANIFEST
    except TypeError:
        raise UserError(
            f"give the folder of a finished run, not a value of type {type(run).__name__}"
        ) from None


def _problem(content: Any, keys: tuple[str, ...]) -> str | None:
    if not isinstance(content, dict):
        return f"it holds no JSON object but a {type(content).__name__}"
    if "sha256" in content and content["sha256"] != seal(content):
        return f"its content does not match its sha256 {content['sha256']}"
    missing = [key for key in keys if key not in content and key != "topologies"]
    return f"it lacks {', '.join(missing)}" if missing else None


def seal(content: Mapping[str, Any]) -> str:
    """Hash what a manifest says, whatever its layout, so that a change of it can be detected.

    Examples
    --------
    >>> seal({"format": 2}) == seal({"format": 2, "sha256": "of itself"}) != seal({"format": 3})
    True
    """
    unsealed = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()
