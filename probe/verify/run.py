"""All checks of a run, in order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.runs.manifest import MANIFEST, read_manifest
from probe.sweep.jobs import SUMMARY, read_summary
from probe.verify.files import check_files, unlisted
from probe.verify.manifest import check_manifest
from probe.verify.matrix import check_matrix, check_standard_error
from probe.verify.numbers import check_measures, check_numbers


@dataclass
class Findings:
    """The outcome of the checks of a run.

    Attributes
    ----------
    faults : list of str
        One line each: where, what was expected, what was found.
    notes : list of str
        Remarks that are not faults.
    checked : str
        What was checked, in words.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: str = ""


def runs_of(folder: Path) -> list[Path]:
    """Return the runs of a folder: itself, or those of a sweep.

    Raises
    ------
    UserError
        If it is not a folder, or a sweep without runs.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a run or a sweep")
    if not (folder / SUMMARY).is_file() or (folder / MANIFEST).is_file():
        return [folder]
    runs = [Path(job.run) for job in read_summary(folder)[0] if job.run is not None]
    if not runs:
        raise UserError(f"{folder} is a sweep without runs: all its jobs failed")
    return runs


def verify(run: Path) -> Findings:
    """Check a run's manifest, files, matrices and numbers.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    """
    findings = Findings()
    try:
        manifest = read_manifest(run)
    except UserError as error:
        # Lines already begin with the run.
        findings.faults.append(str(error).removeprefix(f"{run}/").removeprefix(f"{run} "))
        return findings
    findings.faults += check_manifest(manifest)
    if findings.faults:  # its content cannot be relied on
        return findings
    wrong = check_files(run, manifest["files"])
    findings.faults += wrong.values()
    findings.notes += unlisted(run, manifest["files"])
    records = manifest.get("topologies", [])
    if records:
        try:
            findings.faults += [f"{MANIFEST}: {fault}" for fault in check_numbers(manifest)]
            findings.faults += _check_matrices(run, records, set(wrong))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # Its own sha256 matches, but the records are not those of a run.
            findings.faults.append(
                f"{MANIFEST}: expected the records of a run, found others ({error!r})"
            )
    n_files = len(manifest["files"])
    findings.checked = f"{n_files} files match their sha256"
    if records:
        findings.checked += f", {_counted(records)}, counts and measures"
    elif "study" in manifest:
        findings.checked += f", those of the study {manifest['study']}"
    else:
        findings.notes.append(f"{MANIFEST} lists no topologies: only files were checked")
    return findings


def _check_matrices(run: Path, records: list[dict[str, Any]], wrong: set[str]) -> list[str]:
    """Check the matrices whose files are unchanged, and their measures."""
    faults: list[str] = []
    sums = {}
    for record in records:
        if record["file"] not in wrong:
            matrix_faults, sums[record["name"]] = check_matrix(run / record["file"], record)
            faults += matrix_faults
        error = record["standard_error_file"]
        if error is not None and error not in wrong:
            faults += check_standard_error(run / error, record)
    return faults + check_measures(run, records, sums, wrong)


def _counted(records: list[dict[str, Any]]) -> str:
    errors = sum(record["standard_error_file"] is not None for record in records)
    matrices = f"{len(records)} {'matrix' if len(records) == 1 else 'matrices'}"
    kinds = ", ".join(sorted({record["kind"] for record in records}))
    return f"{matrices} of kind {kinds}" + (f" and {errors} of standard errors" if errors else "")
