"""The manifest itself: its format, its keys and their types."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import NoneType
from typing import Any

from probe.runs.manifest import FORMAT, MANIFEST
from probe.topology import matrix_file

_Kinds = Mapping[str, tuple[type, ...]]
_NUMBER = (int, float)
_ALWAYS: _Kinds = {
    "probe": (str,), "finished": (str,), "config": (dict,), "seconds": _NUMBER,
    "fingerprints": (dict,), "versions": (dict,), "git": (str, NoneType), "host": (dict,),
    "files": (dict,),
}  # fmt: skip
_OF_TOPOLOGIES: _Kinds = {
    "topologies": (list,), "ranks": (int,), "examples": (int,), "tokens": (int,), "layers": (list,),
    "skipped": (dict,),
}  # fmt: skip
_RECORD: _Kinds = {
    "name": (str,), "layers": (list,), "scheme": (str,), "weight": (str,), "part": (int,),
    "parts": (int,), "examples": (int,), "undefined": (list,), "site": (str,), "model": (str,),
    "data": (str,), "subject": (str, NoneType), "init": (str,), "kind": (str,),
    "reliability": (dict, NoneType), "file": (str,), "standard_error_file": (str, NoneType),
}  # fmt: skip


def check_manifest(manifest: Mapping[str, Any]) -> list[str]:
    """Return the faults of the manifest; if there are none, its keys can be relied on."""
    if manifest.get("format") != FORMAT:
        return [f"{MANIFEST}: expected format {FORMAT}, found {manifest.get('format')!r}"]
    if "sha256" not in manifest:
        return [f"{MANIFEST}: expected a sha256 of its own, found none"]
    keys = {**_ALWAYS, **(_OF_TOPOLOGIES if "topologies" in manifest else {})}
    return list(_kinds(manifest, keys, MANIFEST)) or list(_listed(manifest))


def _listed(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Check the records of topologies, and that every file name is inside the run."""
    faulty = False
    for number, record in enumerate(manifest.get("topologies", [])):
        where = f"{MANIFEST}, topology {number}"
        if not isinstance(record, dict):
            yield f"{where}: expected an object, found {type(record).__name__}"
            return
        for fault in _kinds(record, _RECORD, where):
            faulty = True
            yield fault
    if faulty:
        return
    for name in manifest["files"]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            yield f"{MANIFEST}: expected files in the run's folder, found {name}"
    for record in manifest.get("topologies", []):
        yield from _files_of(record, manifest["files"])


def _files_of(record: Mapping[str, Any], files: Mapping[str, Any]) -> Iterator[str]:
    keys = {"file": "", "standard_error_file": "_stderr"}
    for key, suffix in keys.items():
        file, expected = record[key], matrix_file(record["name"], suffix)
        if file is not None and file != expected:
            yield f"{MANIFEST}: expected {expected} as {key} of {record['name']}, found {file}"
        elif file is not None and file not in files:
            yield f"{MANIFEST}: expected a sha256 of {file}, found none"


def _kinds(content: Mapping[str, Any], keys: _Kinds, where: str) -> Iterator[str]:
    for key, kinds in keys.items():
        if key not in content:
            yield f"{where}: expected the key {key}, found none"
        elif not isinstance(content[key], kinds) or isinstance(content[key], bool):
            names = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            yield f"{where}: expected {names} as {key}, found {type(content[key]).__name__}"
