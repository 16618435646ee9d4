"""Counts that must add up, and measures that must be those of the matrices."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.runs.manifest import MANIFEST
from probe.runs.measures_files import read_numbers
from probe.topology.reliability import BINS
from probe.verify.matrix import Sums

_MEASURES, _TABLE = "measures.json", "measures_by_layer.csv"
_TOLERANCE = 1e-9  # of means in double precision, summed in another order
_SHARED = ("mean_r", "mean_abs_r", "mean_r2")


def check_numbers(manifest: Mapping[str, Any]) -> list[str]:
    """Check that examples, tokens, parts and layers of the topologies are those of the run."""
    return [f"{MANIFEST}: {fault}" for fault in _mismatches(manifest)]


def _mismatches(manifest: Mapping[str, Any]) -> Iterator[str]:
    records, config = manifest["topologies"], manifest["config"]
    names = [record["name"] for record in records]
    if len(set(names)) < len(names):
        yield f"wanted topologies with names of their own, found {', '.join(names)}"
    layers = sorted({layer for record in records for layer in record["layers"]})
    if layers != manifest["layers"]:
        yield f"wanted topologies of layers {manifest['layers']}, found them of {layers}"
    for record in records:
        yield from _of_config(record, config)
        if record["reliability"] is not None:
            yield from _reliability(record)
    groups = defaultdict(list)
    for record in records:
        groups[record["name"].partition("_part")[0]].append(record)
    for name, group in groups.items():
        yield from _parts(name, group, manifest)


def _of_config(record: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    wanted = {
        "scheme": config.get("average", {}).get("scheme"),
        "weight": config.get("average", {}).get("weight"),
        "parts": config.get("average", {}).get("parts"),
        "site": config.get("site"),
        "init": config.get("init", {}).get("kind"),
    }
    for key, value in wanted.items():
        if record[key] != value:
            yield (f"wanted {key} {value} of {record['name']}, as configured, found {record[key]}")


def _parts(
    name: str, group: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """Check that a matrix' parts are all there and add up to the run."""
    parts = [record["part"] for record in group]
    if parts != list(range(1, group[0]["parts"] + 1)):
        yield f"wanted parts 1 to {group[0]['parts']} of {name}, found {parts}"
        return
    examples = sum(record["examples"] for record in group)
    if examples != manifest["examples"]:
        yield f"wanted {manifest['examples']} examples behind {name}, found {examples}"
    known = [record["reliability"] for record in group if record["reliability"] is not None]
    tokens = sum(reliability.get("tokens", 0) for reliability in known)
    if known and tokens != manifest["tokens"]:
        yield f"wanted {manifest['tokens']} tokens behind {name}, found {tokens}"


def _reliability(record: Mapping[str, Any]) -> Iterator[str]:
    """Check what is known of the noise: halves and null."""
    name, known = record["name"], record["reliability"]
    half = known.get("split_half")
    if half is not None and not -1 <= half <= 1:
        yield f"wanted split_half of {name} from -1 to 1, found {half}"
    if len(known.get("halves", [])) not in (0, 2):
        yield f"wanted two halves of {name}, or none, found {len(known['halves'])}"
    null = known.get("null")
    if null is None:
        return
    quantiles = list(null["quantiles"].values())
    if not 0 <= null["mean_abs_r"] <= 1 or quantiles != sorted(quantiles) or quantiles[-1] > 1:
        yield f"wanted a null of {name} from 0 to 1, its quantiles in order, found {quantiles}"
    # Every shift has the same pairs of neurons, each in one bin.
    counted, bins = sum(null["counts"]), len(null["counts"])
    if bins != len(BINS) - 1 or counted % null["shifts"]:
        yield (
            f"wanted {len(BINS) - 1} bins of {null['shifts']} shifts' pairs in the null of {name}, "
            f"found {counted} in {bins}"
        )


def check_measures(
    run: Path,
    records: Sequence[Mapping[str, Any]],
    sums: Mapping[str, Sums | None],
    wrong: set[str],
) -> list[str]:
    """Check that the measures are of these topologies, and the cheap ones of these matrices.

    Parameters
    ----------
    run : Path
        The run's folder.
    records : sequence of mapping
        Its topologies, as the manifest has them.
    sums : mapping of str to Sums
        What was read of the matrices, by name.
    wrong : set of str
        Files that are already known to be wrong.
    """
    if wrong & {_MEASURES, _TABLE}:
        return []
    try:
        measures = json.loads((run / _MEASURES).read_text(encoding="utf-8"))
        rows = read_numbers(run)
    except (UserError, OSError, ValueError, KeyError, TypeError) as error:
        return [f"{_MEASURES}, {_TABLE}: wanted measures, found none that can be read ({error})"]
    names = {record["name"] for record in records}
    for file, found in ((_MEASURES, measures), (_TABLE, rows)):
        if set(found) != names:
            wanted = ", ".join(sorted(names))
            return [f"{file}: wanted measures of {wanted}, found {', '.join(sorted(found))}"]
    faults: list[str] = []
    for record in records:
        name = record["name"]
        known = sums.get(name)
        if known is not None:
            faults += _differences(f"{_MEASURES}, {name}", _cheap(known, record), measures[name])
        same = {key: measures[name].get(key) for key in _SHARED}
        faults += _differences(f"{_TABLE}, {name}", same, rows[name])
    return faults


def _cheap(sums: Sums, record: Mapping[str, Any]) -> dict[str, float]:
    """Work out the measures that take no more than the sums."""
    rows, columns = sums.shape
    if record["kind"] == "cross":
        of_rows = sum(number < rows for number in record["undefined"])
        kept = rows - of_rows, columns - (len(record["undefined"]) - of_rows)
        pairs, neurons = kept[0] * kept[1], sum(kept)
    else:
        neurons = rows - len(record["undefined"])
        pairs = neurons * (neurons - 1) // 2
    cheap = {
        "neurons": float(neurons),
        "mean_r": sums.r / max(pairs, 1),
        "mean_abs_r": sums.magnitude / max(pairs, 1),
        "mean_r2": sums.square / max(pairs, 1),
    }
    if record["kind"] != "cross" and neurons:
        cheap["strength_mean"] = 2 * sums.magnitude / neurons
        cheap["participation_ratio"] = neurons**2 / (neurons + 2 * sums.square)
    return cheap


def _differences(where: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key, value in wanted.items():
        other = found.get(key)
        if not isinstance(other, int | float) or not math.isclose(
            value, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
        ):
            yield f"{where}: wanted {key} {value}, as the matrix has it, found {other}"
