"""Read the files of a run, a study or a sweep. Nothing is recomputed."""

import csv
import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from probe.errors import UserError
from probe.report.records import Csv, Job, Number, Run, Study, Sweep, TopologySummary
from probe.runs.hubs_file import read_hubs
from probe.runs.manifest import MANIFEST, read_manifest
from probe.runs.measures_files import defined_alike, read_measures, read_numbers
from probe.sweep.jobs import SUMMARY, read_summary
from probe.sweep.jobs import Job as SweepJob
from probe.topology import neuron_name
from probe.topology.reliability import Reliability

_REDO = "do the run again with overwrite=true"
# Rows of a study's table on the page; the file has all.
_ROWS = 1000


def read(folder: Path) -> Run | Study | Sweep:
    """Read a run, a study or a sweep, whichever the folder holds.

    Raises
    ------
    UserError
        If it is neither, or a file of it is missing or corrupt.
    """
    if (folder / SUMMARY).is_file():
        return _read_sweep(folder)
    if (folder / MANIFEST).is_file():
        study = "topologies" not in read_manifest(folder)
        return _read_study(folder) if study else _read_run(folder)
    raise UserError(
        f"{folder} is neither a finished run (it has no {MANIFEST}) nor a finished sweep "
        f"(it has no {SUMMARY}); give the folder of one"
    )


def _read_run(folder: Path) -> Run:
    manifest = read_manifest(folder, "topologies")
    records = {record["name"]: record for record in manifest["topologies"]}
    rows, summaries = read_numbers(folder), read_measures(folder)
    if not records.keys() == rows.keys() == summaries.keys():
        raise UserError(f"{folder} has measures of other topologies; {_REDO}")
    hubs = read_hubs(folder)
    figures: dict[str | None, list[Path]] = defaultdict(list)
    for figure in sorted((folder / "figures").glob("*.png"), key=_natural):
        figures[_owner(figure.stem, records)].append(figure)
    topologies = [
        _topology(record, rows[name], summaries[name], figures[name], hubs.get(name, []))
        for name, record in records.items()
    ]
    command = shlex.join(["python", "-m", "probe", *_words(folder / "overrides.yaml")])
    title = _title(manifest["topologies"])
    return Run(folder, title, command, manifest, topologies, figures[None])


def _read_study(folder: Path) -> Study:
    manifest = read_manifest(folder, "config", "files")
    csvs = [_csv(folder / name) for name in sorted(manifest["files"]) if name.endswith(".csv")]
    figures = sorted((folder / "figures").glob("*.png"), key=_natural)
    words = _words(folder / "overrides.yaml")
    command = f"{manifest.get('command', 'python -m experiments.…')} {shlex.join(words)}".strip()
    title = f"{manifest.get('study', folder.parent.name)}: {folder.name}".replace("_", " ")
    return Study(folder, title, command, manifest, csvs, figures)


def _csv(file: Path) -> Csv:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            columns, *rows = csv.reader(stream)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file} is missing or corrupt ({error}); {_REDO}") from None
    return Csv(file.stem, columns, rows[:_ROWS], len(rows))


def _topology(
    record: dict[str, Any],
    numbers: Mapping[str, Number],
    summary: dict[str, Any],
    figures: list[Path],
    hubs: list[dict[str, Any]],
) -> TopologySummary:
    reliability = Reliability.from_record(record.get("reliability"))
    joined = record["layers"] if record.get("kind") == "full" else ()
    n = int(numbers["neurons"] or 0) + len(record["undefined"]) if joined else 0
    named = [neuron for neuron, _ in summary["hubs"]]
    named += [one["neuron"] for hub in hubs for one in hub.get("partners", [])]
    return TopologySummary(
        name=record["name"],
        numbers=dict(numbers) | _noise(reliability),
        hubs=[(int(neuron), float(strength)) for neuron, strength in summary["hubs"]],
        described={hub["neuron"]: hub for hub in hubs},
        skipped=summary.get("skipped", {}),
        undefined=record["undefined"],
        halves=[] if reliability is None else reliability.halves,
        layer_agreement={} if reliability is None else reliability.layer_agreement,
        figures=figures,
        names={int(neuron): neuron_name(int(neuron), joined, n) for neuron in named},
    )


def _read_sweep(folder: Path) -> Sweep:
    recorded, varied = read_summary(folder)
    jobs = _alike([_job(number, job) for number, job in enumerate(recorded, start=1)])
    figures = sorted(folder.glob("*.png"), key=_natural)
    studies = any(job.state == "finished" and job.run is None for job in jobs)
    headline = _csv(folder / "summary.csv") if studies else None
    return Sweep(folder, _sweep_command(folder), varied, jobs, figures, headline)


def _job(number: int, job: SweepJob) -> Job:
    state, run, error = "finished" if job.error is None else "failed", None, job.error
    if job.run is not None:
        try:
            if "topologies" in read_manifest(Path(job.run)):
                run = _read_run(Path(job.run))
        except UserError as problem:
            if error is None:
                state, error = "missing", str(problem)
    return Job(number, job.overrides, job.values, state, run, error)


def _alike(jobs: list[Job]) -> list[Job]:
    """Leave out measures of runs that an earlier version defined otherwise than the others."""
    found = [(job.run.path, one.numbers) for job in jobs if job.run for one in job.run.topologies]
    numbers = iter(defined_alike([path for path, _ in found], [row for _, row in found]))
    return [
        replace(job, run=replace(job.run, topologies=[
            replace(one, numbers=next(numbers)) for one in job.run.topologies
        ]))
        if job.run else job
        for job in jobs
    ]  # fmt: skip


def _sweep_command(folder: Path) -> str | None:
    """Rebuild the command line of a sweep from the file of Hydra's sweeper, if there is one."""
    file = folder / "multirun.yaml"
    if not file.is_file():
        return None
    words = OmegaConf.select(OmegaConf.load(file), "hydra.overrides.task", default=[])
    return shlex.join(["python", "-m", "probe", "-m", *words])


def _title(records: list[dict[str, Any]]) -> str:
    first = records[0]
    init = "" if first["init"] == "pretrained" else f" with {first['init']} weights"
    subject = "" if first["subject"] in (None, "all") else f" {first['subject']}"
    site = "" if first["site"] == "residual" else f", {first['site']}"
    if first.get("correlation") == "spearman":
        site += ", Spearman's r"
    names = first["name"] if len(records) == 1 else f"{len(records)} topologies"
    return f"{first['model']}{init} on {first['data']}{subject}{site}: {names.replace('_', ' ')}"


def _noise(reliability: Reliability | None) -> dict[str, Number]:
    """Return the numbers about a topology's noise that are not among its measures."""
    if reliability is None:
        return {}
    quantiles = {} if reliability.null is None else reliability.null.quantiles
    return {
        "full_length": reliability.full_length,
        **{f"null_quantile_{q}": value for q, value in quantiles.items()},
    }


def _owner(figure: str, names: dict[str, Any]) -> str | None:
    """Return the topology of a figure: `layer_1` of `layer_1_strength`, not `layer`."""
    owners = [name for name in names if figure.startswith(name + "_")]
    return max(owners, key=len, default=None)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts `layer_2` before `layer_10`."""
    words = path.stem.split("_")
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words]


def _words(file: Path) -> list[str]:
    try:
        return [str(word) for word in OmegaConf.create(file.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        raise UserError(f"{file.parent} lacks {file.name}; {_REDO}") from None
    except (OSError, YAMLError, ValueError) as error:
        raise UserError(f"{file} is corrupt ({error}); {_REDO}") from None
