"""The result: an averaged correlation matrix with all that is needed to read it. NumPy only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError, nearest
from probe.reliability import Reliability

FOLDER = "topology"
MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class Topology:
    """A neural topology: neurons as nodes, averaged Pearson correlations as edges.

    Attributes
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations, dimensionless, symmetric, diagonal 1; 0 in rows of undefined neurons.
    name : str
        `all_layers` or `layer_12`, with `_part1` where there are parts.
    layers : tuple of int
        Layers averaged over, counted from 0 as decoder blocks.
    scheme, weight : str
        How examples were averaged: mean, fisher or pooled; each example or each token the same.
    part, parts : int
        Part of the examples, from 1, and the number of parts.
    examples : int
        Examples in the part.
    undefined : tuple of int
        Neurons that were constant in every example.
    site : str
        Where neurons were read: residual, mlp or attention.
    model, data, subject, init : str
        What was read, of which data; `subject` is None for data without subjects.
    standard_error : ndarray of float32, shape (n_neurons, n_neurons), or None
        Standard error of every edge, NaN where fewer than two examples defined it.
    reliability : Reliability or None
        What is known of its noise.
    """

    matrix: NDArray[np.float32]
    name: str
    layers: tuple[int, ...]
    scheme: str
    weight: str
    part: int
    parts: int
    examples: int
    undefined: tuple[int, ...]
    site: str
    model: str
    data: str
    subject: str | None
    init: str
    standard_error: NDArray[np.float32] | None = None
    reliability: Reliability | None = None

    @property
    def n_neurons(self) -> int:
        """Number of nodes."""
        return len(self.matrix)

    @property
    def layer(self) -> int | None:
        """The layer, where there is only one."""
        return self.layers[0] if len(self.layers) == 1 else None

    def record(self) -> dict[str, Any]:
        """Return everything but the matrices, with the files' names, for the manifest."""
        arrays = ("matrix", "standard_error")
        rest = {field.name: getattr(self, field.name) for field in fields(self)}
        rest = {name: value for name, value in rest.items() if name not in arrays}
        if self.reliability is not None:
            rest["reliability"] = asdict(self.reliability)
        files = {"file": _file(self.name), "standard_error_file": None}
        if self.standard_error is not None:
            files["standard_error_file"] = _file(self.name, "_stderr")
        return rest | files

    def save(self, run: Path) -> list[Path]:
        """Write the matrices under a run's folder, each whole or not at all."""
        written = []
        for key, array in (("", self.matrix), ("_stderr", self.standard_error)):
            if array is not None:
                path = run / _file(self.name, key)
                with replacing(path) as unfinished, unfinished.open("wb") as stream:
                    np.save(stream, array, allow_pickle=False)
                written.append(path)
        return written


def load_topologies(run: str | os.PathLike[str]) -> list[Topology]:
    """Load every topology of a finished run.

    Raises
    ------
    UserError
        If the folder is no finished run, or a file of it is missing.
    """
    return [_load(Path(run), record) for record in _records(Path(run))]


def load_topology(run: str | os.PathLike[str], name: str | None = None) -> Topology:
    """Load one topology of a finished run, by name where there are several.

    Raises
    ------
    UserError
        If there is no such topology, or several and no name.
    """
    found = {record["name"]: record for record in _records(Path(run))}
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None or name not in found:
        wanted = f"no topology '{name}'{nearest(name, found)}" if name else "several topologies"
        raise UserError(f"{run} has {wanted}; give one of {', '.join(found)}")
    return _load(Path(run), found[name])


def sparsify(
    matrix: NDArray[np.float32], density: float, rule: str = "pairs"
) -> NDArray[np.float32]:
    """Keep the strongest correlations as the weighted edges of a graph.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations, symmetric.
    density : float
        Share to keep, above 0 and up to 1.
    rule : str
        `pairs`: the `round(density · n(n-1)/2)` pairs of different neurons with the largest |r|.
        Of pairs that tie for the last places, those of smaller first, then second, neuron stay.
        `paper`: entries whose |r| reaches the (100 - 100 density)th percentile of all n² entries,
        the diagonal included (Zheng et al. 2025), so that somewhat fewer pairs stay.

    Returns
    -------
    ndarray of float32, shape (n_neurons, n_neurons)
        r where it was kept, 0 elsewhere and on the diagonal; symmetric. A correlation of exactly 0
        is no edge at any density.

    Raises
    ------
    UserError
        If there is no such rule or density.

    Examples
    --------
    >>> sparsify(np.array([[1, 0.2, -0.9], [0.2, 1, 0.5], [-0.9, 0.5, 1]], np.float32), 2 / 3)
    array([[ 0. ,  0. , -0.9],
           [ 0. ,  0. ,  0.5],
           [-0.9,  0.5,  0. ]], dtype=float32)
    """
    if rule not in _RULES:
        raise UserError(
            f"no density rule '{rule}'{nearest(rule, _RULES)}; give one of {', '.join(_RULES)}"
        )
    if not 0 < density <= 1:
        raise UserError(f"a density is above 0 and up to 1, not {density:g}")
    upper = ~np.tri(len(matrix), dtype=bool)
    pairs = matrix[upper]
    keep = _RULES[rule](matrix, np.abs(pairs), density)
    kept = np.zeros_like(matrix, dtype=np.float32)
    kept[upper] = np.where(keep, pairs, 0)
    kept += kept.T
    return kept


def _strongest_pairs(
    _: NDArray[np.float32], pairs: NDArray[np.float32], density: float
) -> NDArray[np.bool_]:
    count = round(density * len(pairs))
    if count == 0:
        return np.zeros(len(pairs), dtype=bool)
    last = np.partition(pairs, len(pairs) - count)[len(pairs) - count]
    keep: NDArray[np.bool_] = pairs > last
    keep[np.flatnonzero(pairs == last)[: count - np.count_nonzero(keep)]] = True
    return keep


def _above_percentile(
    matrix: NDArray[np.float32], pairs: NDArray[np.float32], density: float
) -> NDArray[np.bool_]:
    if not len(pairs):
        return np.zeros(0, dtype=bool)
    # What reaches a percentile between two entries is the larger one and what is above it.
    # Rounding keeps the float error of a density like 0.825 from passing over an entry.
    rank = ceil(round((1 - density) * (matrix.size - 1), 6))
    reaches: NDArray[np.bool_] = pairs >= np.partition(np.abs(matrix), rank, axis=None)[rank]
    return reaches


_RULES = {"pairs": _strongest_pairs, "paper": _above_percentile}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` once it is written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _file(name: str, key: str = "") -> str:
    group, _, part = name.partition("_part")
    return f"{FOLDER}/{group}_avg_corr{key}{'_part' + part if part else ''}.npy"


def _records(run: Path) -> list[dict[str, Any]]:
    manifest = run / MANIFEST
    if not manifest.is_file():
        raise UserError(f"{run} is no finished run: it has no {MANIFEST}; give a run's folder")
    records: list[dict[str, Any]] = json.loads(manifest.read_text())["topologies"]
    return records


def _load(run: Path, record: dict[str, Any]) -> Topology:
    rest = {field.name: record[field.name] for field in fields(Topology) if field.name in record}
    for key in ("layers", "undefined"):
        rest[key] = tuple(rest[key])
    rest["reliability"] = Reliability.from_record(rest.get("reliability"))
    arrays = {"matrix": record["file"], "standard_error": record["standard_error_file"]}
    try:
        loaded = {k: np.load(run / f, allow_pickle=False) for k, f in arrays.items() if f}
    except OSError as error:
        raise UserError(f"{run} lacks {error.filename}; make the run again") from None
    return Topology(**rest, **loaded)
