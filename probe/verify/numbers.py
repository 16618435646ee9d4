"""Counts that must add up, and measures that must match the matrices."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.errors import UserError
from probe.runs.measures_files import MEASURES, TABLE, read_measures, read_numbers
from probe.topology.reliability import BINS
from probe.verify.matrix import Sums

_TOLERANCE = 1e-9  # for double-precision means, summed in another order
_SHARED = ("mean_r", "mean_abs_r", "mean_r2")


def check_numbers(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Check examples, tokens, parts and layers of the topologies against those of the run."""
    records, config = manifest["topologies"], manifest["config"]
    names = [record["name"] for record in records]
    if len(set(names)) < len(names):
        yield f"expected topologies with unique names, found {', '.join(names)}"
    layers = sorted({layer for record in records for layer in record["layers"]})
    if layers != manifest["layers"]:
        yield f"expected topologies of layers {manifest['layers']}, found them of {layers}"
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
    average = config.get("average", {})
    expected = {key: average.get(key) for key in ("scheme", "weight", "parts")}
    if "correlation" in record:  # runs made before it are Pearson's
        expected["correlation"] = average.get("correlation", "pearson")
    expected |= {"site": config.get("site"), "init": config.get("init", {}).get("kind")}
    for key, value in expected.items():
        if record[key] != value:
            yield f"expected {key} {value} of {record['name']}, as configured, found {record[key]}"


def _parts(
    name: str, group: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """Check that the parts of a matrix are complete and add up to the run."""
    parts = [record["part"] for record in group]
    if parts != list(range(1, group[0]["parts"] + 1)):
        yield f"expected parts 1 to {group[0]['parts']} of {name}, found {parts}"
        return
    examples = sum(record["examples"] for record in group)
    if examples != manifest["examples"]:
        yield f"expected {manifest['examples']} examples behind {name}, found {examples}"
    reliabilities = [record["reliability"] for record in group if record["reliability"] is not None]
    # Dropped tokens are counted by layer.
    dropped = sum(
        round(sum(reliability.get("dropped", {}).values()) / len(record["layers"]))
        for record, reliability in zip(group, reliabilities, strict=False)
    )
    tokens = dropped + sum(reliability.get("tokens", 0) for reliability in reliabilities)
    if reliabilities and tokens != manifest["tokens"]:
        yield f"expected {manifest['tokens']} tokens behind {name}, found {tokens}"


def _reliability(record: Mapping[str, Any]) -> Iterator[str]:
    """Check the halves and the null."""
    name, reliability = record["name"], record["reliability"]
    half = reliability.get("split_half")
    if half is not None and not -1 <= half <= 1:
        yield f"expected split_half of {name} from -1 to 1, found {half}"
    if len(reliability.get("halves", [])) not in (0, 2):
        yield f"expected two halves of {name}, or none, found {len(reliability['halves'])}"
    null = reliability.get("null")
    if null is None:
        return
    quantiles = list(null["quantiles"].values())
    if not 0 <= null["mean_abs_r"] <= 1 or quantiles != sorted(quantiles) or quantiles[-1] > 1:
        yield f"expected a null of {name} from 0 to 1, its quantiles in order, found {quantiles}"
    # Each shift counts every pair of neurons once.
    count, bins = sum(null["counts"]), len(null["counts"])
    if bins != len(BINS) - 1 or count % null["shifts"]:
        yield (
            f"expected {len(BINS) - 1} bins of {null['shifts']} shifts' pairs in the null of "
            f"{name}, found {count} in {bins}"
        )


def check_measures(
    run: Path,
    records: Sequence[Mapping[str, Any]],
    sums: Mapping[str, Sums | None],
    wrong: set[str],
) -> list[str]:
    """Check the measures against the topologies, and the cheap ones against the matrices.

    Parameters
    ----------
    run : Path
        The run's folder.
    records : sequence of mapping
        Records of its topologies in the manifest.
    sums : mapping of str to Sums
        Sums over the matrices, by name of the topology.
    wrong : set of str
        Files that already have a fault.
    """
    if wrong & {MEASURES, TABLE}:
        return []
    try:
        measures, rows = read_measures(run), read_numbers(run)
    except UserError as error:
        return [f"{MEASURES}, {TABLE}: expected measures, found none that can be read ({error})"]
    names = {record["name"] for record in records}
    for file, content in ((MEASURES, measures), (TABLE, rows)):
        if set(content) != names:
            expected, actual = (", ".join(sorted(each)) for each in (names, content))
            return [f"{file}: expected measures of {expected}, found {actual}"]
    faults: list[str] = []
    for record in records:
        name = record["name"]
        of_matrix = sums.get(name)
        if of_matrix is not None:
            cheap = _cheap(of_matrix, record)
            faults += _differences(f"{MEASURES}, {name}", cheap, measures[name])
        same = {key: measures[name].get(key) for key in _SHARED}
        faults += _differences(f"{TABLE}, {name}", same, rows[name])
    return faults


def _cheap(sums: Sums, record: Mapping[str, Any]) -> dict[str, float]:
    """Compute the measures that follow from the sums."""
    rows, columns = sums.shape
    if record["kind"] == "cross":
        of_rows = sum(number < rows for number in record["undefined"])
        defined = rows - of_rows, columns - (len(record["undefined"]) - of_rows)
        pairs, neurons = math.prod(defined), sum(defined)
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


def _differences(
    where: str, expected: Mapping[str, Any], actual: Mapping[str, Any]
) -> Iterator[str]:
    for key, value in expected.items():
        other = actual.get(key)
        if not isinstance(other, int | float) or not math.isclose(
            value, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
        ):
            yield f"{where}: expected {key} {value}, as the matrix has it, found {other}"
