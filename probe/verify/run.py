"""Everything that is checked of a run, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.runs.manifest import MANIFEST, read_manifest
from probe.sweep.jobs import SUMMARY
from probe.verify.files import check_files, unlisted
from probe.verify.manifest import check_manifest
from probe.verify.matrix import check_matrix, check_standard_error
from probe.verify.numbers import check_measures, check_numbers


@dataclass
class Findings:
    """What was found of a run.

    Attributes
    ----------
    faults : list of str
        What is wrong, a line each: where, what was wanted, what was found.
    notes : list of str
        What is no fault, but worth a word.
    checked : str
        What was checked, in a few words.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: str = ""


def runs_of(folder: Path) -> list[Path]:
    """Return the runs that a folder stands for: itself, or those of a sweep.

    Raises
    ------
    UserError
        If there is no such folder, or the sweep's list of runs is broken.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder of a run, or of a sweep")
    if not (folder / SUMMARY).is_file() or (folder / MANIFEST).is_file():
        return [folder]
    try:
        jobs = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["jobs"]
        runs = [Path(job["run"]) for job in jobs if job["run"] is not None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / SUMMARY} is no list of a sweep's jobs ({error!r})") from None
    if not runs:
        raise UserError(f"{folder} is a sweep of which no job left a run")
    return [folder / run if (folder / run).exists() else run for run in runs]


def verify(run: Path) -> Findings:
    """Check a run's manifest, files, matrices and numbers.

    Parameters
    ----------
    run : Path
        Folder of a finished run, or of what should be one.
    """
    found = Findings()
    try:
        manifest = read_manifest(run)
    except UserError as error:
        # Each line begins with the run already.
        found.faults.append(str(error).removeprefix(f"{run}/").removeprefix(f"{run} "))
        return found
    found.faults += check_manifest(manifest)
    if found.faults:  # nothing in it can be relied on
        return found
    wrong = check_files(run, manifest["files"])
    found.faults += wrong.values()
    found.notes += unlisted(run, manifest["files"])
    records = manifest.get("topologies", [])
    if records:
        try:
            found.faults += check_numbers(manifest)
            found.faults += _check_matrices(run, records, set(wrong))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # Someone wrote a manifest that is sealed, but not as a run's.
            found.faults.append(f"{MANIFEST}: wanted a run's records, found others ({error!r})")
    n_files = len(manifest["files"])
    found.checked = f"{n_files} files by sha256"
    if records:
        found.checked += f", {_counted(records)}, counts and measures"
    else:
        found.notes.append(f"{MANIFEST} lists no topologies: files were checked, no matrices")
    return found


def _check_matrices(run: Path, records: list[dict[str, Any]], wrong: set[str]) -> list[str]:
    """Check the matrices of which the files are right, and the measures of those."""
    faults: list[str] = []
    sums = {}
    for record in records:
        if record["file"] not in wrong:
            of_it, sums[record["name"]] = check_matrix(run / record["file"], record)
            faults += of_it
        error = record["standard_error_file"]
        if error is not None and error not in wrong:
            faults += check_standard_error(run / error, record)
    return faults + check_measures(run, records, sums, wrong)


def _counted(records: list[dict[str, Any]]) -> str:
    errors = sum(record["standard_error_file"] is not None for record in records)
    matrices = f"{len(records)} {'matrix' if len(records) == 1 else 'matrices'}"
    kinds = ", ".join(sorted({record["kind"] for record in records}))
    return f"{matrices} of kind {kinds}" + (f" and {errors} of standard errors" if errors else "")
