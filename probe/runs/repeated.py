"""Compare a run or a study with its repetition: settings, and numbers within 1e-6."""

import csv
import filecmp
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from probe.config import leaves
from probe.runs.manifest import read_manifest
from probe.runs.measures_files import MEASURES, measures_definition
from probe.topology import load_matrix

logger = logging.getLogger(__name__)
# The accuracy of single precision, see docs/exactness.md.
WITHIN = 1e-6
_ROWS = 1024  # rows of a matrix compared at a time
# Keys that say where results go and how they look, and not what they are.
_WITHOUT_MEANING = {"output", "overwrite", "tracking", "figures"}
_same_bytes = partial(filecmp.cmp, shallow=False)


def compare_runs(run: Path, repetition: Path) -> bool:
    """Log how two runs differ; return whether their matrices agree within 1e-6.

    Parameters
    ----------
    run, repetition : Path
        Their folders.

    Raises
    ------
    UserError
        If one of them cannot be read.
    """
    before, now = (read_manifest(one, "config", "topologies") for one in (run, repetition))
    for line in differences(before, now):
        logger.info("changed: %s", line)
    names = _matrices(before)
    if names != _matrices(now):
        logger.info("only in one run: %s", ", ".join(sorted(names ^ _matrices(now))))
        return False
    largest = {name: _largest_difference(run / name, repetition / name) for name in sorted(names)}
    for name, difference in largest.items():
        if difference is None:
            logger.info("%s has a different shape", name)
    if None in largest.values():
        return False
    return _log_agreement(run, repetition, {n: d for n, d in largest.items() if d is not None})


def compare_studies(study: Path, repetition: Path) -> bool:
    """Log how two studies differ; return whether the numbers in their tables agree within 1e-6.

    Numbers above 1 may differ by that share of them.

    Parameters
    ----------
    study, repetition : Path
        Their folders.

    Raises
    ------
    UserError
        If one of them cannot be read.
    """
    before, now = (read_manifest(one, "config", "files") for one in (study, repetition))
    for line in differences(before, now):
        logger.info("changed: %s", line)
    names, others = (_tables(manifest) for manifest in (before, now))
    if names != others:
        logger.info("only in one study: %s", ", ".join(sorted(names ^ others)))
        return False
    largest: dict[str, float] = {}
    for name in sorted(names):
        difference = _table_difference(study / name, repetition / name)
        if difference is None:
            logger.info("%s has other rows or words, or lacks a column", name)
            return False
        largest[name] = difference
    same = sum(_same_bytes(study / name, repetition / name) for name in names)
    worst = max(largest, key=lambda name: largest[name], default=None)
    within = worst is None or largest[worst] <= WITHIN
    logger.info("tables identical to the byte: %d of %d", same, len(names))
    if worst is not None and same < len(names):
        logger.info(
            "the largest difference is %.3g in %s, %s %g",
            largest[worst], worst, "within" if within else "more than", WITHIN,
        )  # fmt: skip
    return within


def _tables(manifest: Mapping[str, Any]) -> set[str]:
    return {name for name in manifest["files"] if name.endswith(".csv")}


def _table_difference(before: Path, now: Path) -> float | None:
    """Return the largest difference of two tables' numbers; None if anything else differs.

    Columns that only the repetition has, of a later version, are told and left out.
    """
    first, second = (_columns(file) for file in (before, now))
    if new := second.keys() - first.keys():
        logger.info("%s has more columns now: %s", before.name, ", ".join(sorted(new)))
    largest = 0.0
    for name, cells in first.items():
        if len(second.get(name, [])) != len(cells):
            return None
        for a, b in zip(cells, second[name], strict=True):
            if a != b:
                try:
                    one, other = float(a), float(b)
                except ValueError:
                    return None
                difference = abs(one - other) / max(1.0, abs(one))
                largest = max(largest, difference if difference == difference else float("inf"))
    return largest


def _columns(file: Path) -> dict[str, list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        heads, *rows = csv.reader(stream)
    return {head: [row[place] for row in rows] for place, head in enumerate(heads)}


def _log_agreement(run: Path, repetition: Path, largest: Mapping[str, float]) -> bool:
    same = [name for name in largest if _same_bytes(run / name, repetition / name)]
    identical = f"matrices identical to the byte: {len(same)} of {len(largest)}"
    if len(same) == len(largest):
        measured = _same_bytes(run / MEASURES, repetition / MEASURES)
        found = "identical" if measured else "different"
        logger.info("%s; %s: %s", identical, MEASURES, found)
        return True
    worst = max(largest, key=lambda name: largest[name])
    within = largest[worst] <= WITHIN
    logger.info(
        "%s; the largest difference is %.3g in %s, %s %g",
        identical, largest[worst], worst, "within" if within else "more than", WITHIN,
    )  # fmt: skip
    return within


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the differences between two manifests that a result may depend on, one per line."""
    parts = ("probe", "git", "ranks", "device", "threads", "fingerprints", "versions", "host")

    def flat(manifest: Mapping[str, Any]) -> dict[str, Any]:
        config = {k: v for k, v in manifest["config"].items() if k not in _WITHOUT_MEANING}
        return dict(leaves({part: manifest.get(part) for part in parts} | config))

    old, new = flat(before), flat(now)
    lines = [
        f"{name} {_shorten(old.get(name))} → {_shorten(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    was, is_ = measures_definition(before), measures_definition(now)
    if was != is_:
        lines.append(
            f"communities and rewired graphs are measured by definition {is_}, not by {was} as "
            "then, so their numbers differ; docs/results.md says how"
        )
    return lines


def _shorten(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _largest_difference(before: Path, now: Path) -> float | None:
    """Return the largest difference of two matrices' entries; NaN equals NaN.

    None if their shapes differ.
    """
    first, second = load_matrix(before), load_matrix(now)
    if first.shape != second.shape:
        return None
    largest = 0.0
    for start in range(0, len(first), _ROWS):
        a, b = (matrix[start : start + _ROWS].astype(np.float64) for matrix in (first, second))
        missing = np.isnan(a)
        if (missing != np.isnan(b)).any():
            return float("inf")
        largest = max(largest, float(np.abs(np.where(missing, 0, a - b)).max(initial=0)))
    return largest


def _matrices(manifest: Mapping[str, Any]) -> set[str]:
    keys = ("file", "standard_error_file")
    return {record[key] for record in manifest["topologies"] for key in keys if record[key]}
