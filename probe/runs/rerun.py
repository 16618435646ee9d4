"""Do a run again from its manifest, and say what is the same: `python -m probe --rerun RUN`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf.errors import OmegaConfBaseException

from probe.cli import overlay
from probe.config import Config, from_plain, run_folder
from probe.errors import UserError
from probe.runs.manifest import read_manifest
from probe.topology import load_matrix

logger = logging.getLogger(__name__)
PLACE = ".rerun"
# What single precision promises, see the README.
WITHIN = 1e-6
_ROWS = 1024  # of a matrix that are compared at a time
# Where results go, and not what they are.
_WITHOUT_MEANING = {"output", "overwrite", "tracking"}


def again(run: Path, words: Sequence[str]) -> Config:
    """Configure a run as its manifest has it, but for some overrides.

    It goes to `<output>/.rerun`, replaces what an earlier repetition left there, and writes no W&B
    run, unless the overrides say otherwise.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    words : sequence of str
        Overrides, as on the command line.

    Raises
    ------
    UserError
        If the folder is no run of this program's, or its configuration cannot be had any more, or
        the repetition would take its place.
    """
    before = read_manifest(run, "config", "topologies")
    plain = {
        **before["config"],
        "output": str(run.resolve().parents[2] / PLACE),
        "overwrite": True,
        "tracking": before["config"]["tracking"] | {"enabled": False},
    }
    try:
        config = from_plain(plain)
    except OmegaConfBaseException as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{run} was configured for probe {before['probe']} and not for this one ({why}); "
            "take the version and commit in its manifest"
        ) from None
    config = overlay(config, words)
    if run_folder(config).resolve() == run.resolve():
        raise UserError(
            f"the repetition would take the place of {run}, which it is compared with; "
            "give another folder with output="
        )
    return config


def compare(run: Path, repetition: Path) -> bool:
    """Say in what two runs differ; return whether their matrices are the same within 1e-6.

    Parameters
    ----------
    run, repetition : Path
        Their folders.

    Raises
    ------
    UserError
        If one of them cannot be read.
    """
    before, now = (
        read_manifest(run, "config", "topologies"),
        read_manifest(repetition, "config", "topologies"),
    )
    for line in differences(before, now):
        logger.info("then and now: %s", line)
    names = _matrices(before)
    if names != _matrices(now):
        logger.info("other matrices than then: %s", ", ".join(sorted(names ^ _matrices(now))))
        return False
    apart = {name: _apart(run / name, repetition / name) for name in sorted(names)}
    for name, largest in apart.items():
        if largest is None:
            logger.info("%s has another shape than then", name)
    if None in apart.values():
        return False
    return _tell(run, repetition, {name: d for name, d in apart.items() if d is not None})


def _tell(run: Path, repetition: Path, apart: Mapping[str, float]) -> bool:
    same = [name for name in apart if _same_bytes(run / name, repetition / name)]
    measures = "measures.json"
    unlike = "" if _same_bytes(run / measures, repetition / measures) else "not "
    if len(same) == len(apart):
        logger.info(
            "all matrices (%d) have the same bytes as then, measures.json has %sthe same",
            len(apart), unlike,
        )  # fmt: skip
        return True
    worst = max(apart, key=lambda name: apart[name])
    within = apart[worst] <= WITHIN
    logger.info(
        "%d of %d matrices have the same bytes as then; the largest difference is %.3g in %s, %s "
        "%g", len(same), len(apart), apart[worst], worst, "within" if within else "more than",
        WITHIN,
    )  # fmt: skip
    return within


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what differs between two manifests that a result may depend on, a line each."""
    parts = ("probe", "git", "ranks", "device", "threads", "fingerprints", "versions", "host")
    old, new = (
        dict(_flat({part: manifest.get(part) for part in parts})) for manifest in (before, now)
    )
    for flat, manifest in ((old, before), (new, now)):
        config = {k: v for k, v in manifest["config"].items() if k not in _WITHOUT_MEANING}
        flat |= dict(_flat(config))
    return [
        f"{name} {_said(old.get(name))}, {_said(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _said(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _apart(then: Path, now: Path) -> float | None:
    """Largest difference of two matrices' entries; NaN is NaN. None where shapes differ."""
    first, second = load_matrix(then), load_matrix(now)
    if first.shape != second.shape:
        return None
    largest = 0.0
    for start in range(0, len(first), _ROWS):
        a, b = (matrix[start : start + _ROWS].astype(np.float64) for matrix in (first, second))
        unknown = np.isnan(a), np.isnan(b)
        if (unknown[0] != unknown[1]).any():
            return float("inf")
        largest = max(largest, float(np.abs(np.where(unknown[0], 0, a - b)).max(initial=0)))
    return largest


def _same_bytes(then: Path, now: Path) -> bool:
    import filecmp

    return filecmp.cmp(then, now, shallow=False)


def _matrices(manifest: Mapping[str, Any]) -> set[str]:
    keys = ("file", "standard_error_file")
    return {record[key] for record in manifest["topologies"] for key in keys if record[key]}
