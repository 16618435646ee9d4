"""Read what a run or a sweep has left. Nothing is computed anew."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from probe.errors import UserError
from probe.report.records import Job, Measured, Number, Run, Sweep
from probe.runs.manifest import MANIFEST, read_manifest
from probe.runs.measures_files import read_measures, read_numbers
from probe.sweep.jobs import SUMMARY
from probe.sweep.jobs import Job as Noted
from probe.topology.reliability import Reliability


def read(folder: Path) -> Run | Sweep:
    """Read a run or a sweep, whichever the folder is.

    Raises
    ------
    UserError
        If it is neither, or a file of it is missing or broken.
    """
    if (folder / SUMMARY).is_file():
        return _read_sweep(folder)
    if (folder / MANIFEST).is_file():
        return _read_run(folder)
    raise UserError(
        f"{folder} is neither a finished run (it has no {MANIFEST}) nor a finished sweep "
        f"(it has no {SUMMARY}); give the folder of one"
    )


def _read_run(folder: Path) -> Run:
    manifest = read_manifest(folder, "topologies")
    records = {record["name"]: record for record in manifest["topologies"]}
    rows, summaries = read_numbers(folder), read_measures(folder)
    if not records.keys() == rows.keys() == summaries.keys():
        raise UserError(f"{folder} has measures of other topologies; make the run again")
    figures = sorted((folder / "figures").glob("*.png"), key=_natural)
    owners = [_owner(figure.stem, records) for figure in figures]
    topologies = [
        _measured(
            record,
            rows[name],
            summaries[name],
            [figure for figure, owner in zip(figures, owners, strict=True) if owner == name],
        )
        for name, record in records.items()
    ]
    common = [figure for figure, owner in zip(figures, owners, strict=True) if owner is None]
    command = shlex.join(["python", "-m", "probe", *_words(folder / "overrides.yaml")])
    title = _title(manifest["topologies"])
    return Run(folder, title, command, manifest, topologies, common)


def _measured(
    record: dict[str, Any],
    numbers: Mapping[str, Number],
    summary: dict[str, Any],
    figures: list[Path],
) -> Measured:
    known = Reliability.from_record(record.get("reliability"))
    return Measured(
        name=record["name"],
        numbers=dict(numbers) | _noise(known),
        hubs=[(int(neuron), float(strength)) for neuron, strength in summary["hubs"]],
        skipped=summary.get("skipped", {}),
        undefined=record["undefined"],
        halves=[] if known is None else known.halves,
        layer_agreement={} if known is None else known.layer_agreement,
        figures=figures,
    )


def _read_sweep(folder: Path) -> Sweep:
    summary = _json(folder / SUMMARY)
    jobs = [_job(folder, n, Noted(**job)) for n, job in enumerate(summary["jobs"], start=1)]
    figures = sorted(folder.glob("*.png"), key=_natural)
    return Sweep(folder, _sweep_command(folder), summary["varied"], jobs, figures)


def _job(folder: Path, number: int, noted: Noted) -> Job:
    state, run, error = "finished" if noted.error is None else "failed", None, noted.error
    if noted.run is not None:
        beside = folder / noted.run  # which an absolute path overrules
        try:
            run = _read_run(beside if beside.exists() else Path(noted.run))
        except UserError as problem:
            if error is None:
                state, error = "missing", str(problem)
    return Job(number, noted.overrides, noted.values, state, run, error)


def _sweep_command(folder: Path) -> str | None:
    """Rebuild the command line of a sweep from what Hydra's sweeper keeps, if it did."""
    kept = folder / "multirun.yaml"
    if not kept.is_file():
        return None
    words = OmegaConf.select(OmegaConf.load(kept), "hydra.overrides.task", default=[])
    return shlex.join(["python", "-m", "probe", "-m", *words])


def _title(records: list[dict[str, Any]]) -> str:
    first = records[0]
    init = "" if first["init"] == "pretrained" else f" with {first['init']} weights"
    subject = "" if first["subject"] in (None, "all") else f" {first['subject']}"
    site = "" if first["site"] == "residual" else f", {first['site']}"
    names = first["name"] if len(records) == 1 else f"{len(records)} topologies"
    return f"{first['model']}{init} on {first['data']}{subject}{site}: {names.replace('_', ' ')}"


def _noise(known: Reliability | None) -> dict[str, Number]:
    """Name what is known of a topology's noise, beyond what its measures say, like a measure."""
    if known is None:
        return {}
    quantiles = {} if known.null is None else known.null.quantiles
    return {
        "full_length": known.full_length,
        **{f"null_quantile_{q}": value for q, value in quantiles.items()},
    }


def _owner(figure: str, names: dict[str, Any]) -> str | None:
    """Name the topology that a figure is of, `layer_1` and not `layer` of `layer_1_strength`."""
    owners = [name for name in names if figure.startswith(name + "_")]
    return max(owners, key=len, default=None)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that puts `layer_2` before `layer_10`."""
    words = path.stem.split("_")
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words]


def _json(file: Path) -> dict[str, Any]:
    text = _text(file)
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError:
        raise UserError(f"{file} is no JSON; make the run again") from None
    return content


def _words(file: Path) -> list[str]:
    text = _text(file)
    try:
        return [str(word) for word in OmegaConf.create(text)]
    except (YAMLError, ValueError):
        raise UserError(f"{file} is no list of overrides; make the run again") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file.parent} lacks {file.name}; make the run again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error})") from None
