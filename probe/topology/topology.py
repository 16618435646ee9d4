"""The result: an averaged correlation matrix with all that is needed to read it. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError
from probe.system.files import atomic_write
from probe.topology.reliability import Reliability

FOLDER = "topology"
_LARGE = 1 << 28  # bytes of a file


@dataclass(frozen=True, eq=False)
class Topology:
    """A neural topology: neurons as nodes, averaged Pearson correlations as edges.

    Attributes
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations, dimensionless; 0 in rows of undefined neurons. Symmetric with a diagonal of
        1, unless `kind` is `cross`.
    name : str
        `all_layers`, `layer_12`, `cross_layer_3_7` or `full`, with `_part1` where there are parts.
    layers : tuple of int
        Layers averaged over or, see `kind`, joined, counted from 0 as decoder blocks.
    scheme, weight : str
        How examples were averaged: mean, fisher or pooled; each example or each token the same.
    part, parts : int
        Part of the examples, from 1, and the number of parts.
    examples : int
        Examples in the part.
    undefined : tuple of int
        Neurons that were constant in every example; with kind `cross` those of the columns are
        counted on from those of the rows.
    site : str
        Where neurons were read: residual, mlp, attention or embedding.
    model, data, subject, init : str
        What was read, of which data; `subject` is None for data without subjects.
    standard_error : ndarray of float32, shape (n_neurons, n_neurons), or None
        Standard error of every edge, NaN where fewer than two examples defined it.
    reliability : Reliability or None
        What is known of its noise.
    kind : str
        `layer`: neurons of a layer, or the mean over some, with each other; `cross`: the rows are
        neurons of the first of two layers, the columns of the second; `full`: neurons of all
        layers with each other, those of a layer together, so that of n neurons a layer neuron k
        of the p-th layer is number p·n + k.
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
    kind: str = "layer"

    @property
    def n_neurons(self) -> int:
        """Number of nodes, or of rows."""
        return len(self.matrix)

    @property
    def layer(self) -> int | None:
        """The layer, where there is only one."""
        return self.layers[0] if len(self.layers) == 1 else None

    @classmethod
    def load(cls, run: Path, record: Mapping[str, Any]) -> Topology:
        """Load what `save` and `record` have left.

        Raises
        ------
        UserError
            If a file is missing, or is not a matrix.
        """
        rest = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        for key in ("layers", "undefined"):
            rest[key] = tuple(rest[key])
        rest["reliability"] = Reliability.from_record(rest.get("reliability"))
        files = {"matrix": record["file"], "standard_error": record["standard_error_file"]}
        try:
            arrays: dict[str, Any] = {
                name: load_matrix(run / file) for name, file in files.items() if file
            }
        except FileNotFoundError as error:
            raise UserError(f"{run} lacks {error.filename}; make the run again") from None
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{run} has a corrupt matrix ({error}); make the run again") from None
        return cls(**rest, **arrays)

    def record(self) -> dict[str, Any]:
        """Return everything but the matrices, with the files' names, for the manifest."""
        arrays = ("matrix", "standard_error")
        rest = {field.name: getattr(self, field.name) for field in fields(self)}
        rest = {name: value for name, value in rest.items() if name not in arrays}
        if self.reliability is not None:
            rest["reliability"] = asdict(self.reliability)
        files = {"file": matrix_file(self.name), "standard_error_file": None}
        if self.standard_error is not None:
            files["standard_error_file"] = matrix_file(self.name, "_stderr")
        return rest | files

    def save(self, run: Path) -> list[Path]:
        """Write the matrices under a run's folder, each whole or not at all."""
        written = []
        for key, array in (("", self.matrix), ("_stderr", self.standard_error)):
            if array is not None:
                path = run / matrix_file(self.name, key)
                written.append(path)
                if (
                    isinstance(array, np.memmap)
                    and path.is_file()
                    and path.samefile(str(array.filename))
                ):
                    continue  # read from there
                with atomic_write(path) as unfinished, unfinished.open("wb") as stream:
                    np.save(stream, array, allow_pickle=False)
        return written


def matrix_file(name: str, key: str = "") -> str:
    """Name the file of a topology's matrix in its run's folder."""
    group, _, part = name.partition("_part")
    return f"{FOLDER}/{group}_avg_corr{key}{'_part' + part if part else ''}.npy"


def load_matrix(file: Path) -> NDArray[np.float32]:
    """Load a matrix; a large one stays on disk, and only what is looked at is read."""
    mode: Literal["r"] | None = "r" if file.stat().st_size > _LARGE else None
    matrix: NDArray[np.float32] = np.load(file, mmap_mode=mode, allow_pickle=False)
    return matrix
