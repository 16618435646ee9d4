"""The result: an averaged correlation matrix with its provenance. NumPy only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError
from probe.system.files import atomic_write
from probe.topology.reliability import Reliability

FOLDER = "topology"
# In the name of a topology without sinks that stands beside one with them.
WITHOUT_SINKS = "_without_sinks"
_LARGE = 1 << 28  # bytes of a file


def neuron_name(neuron: int, joined: Sequence[int], n_neurons: int) -> str:
    """Return the number of one of so many neurons, within its layer where several are joined.

    Examples
    --------
    >>> neuron_name(5, (), 8), neuron_name(5, (3, 7), 8)
    ('5', '7:1')
    """
    if not joined:
        return str(neuron)
    place, number = divmod(neuron, n_neurons // len(joined))
    return f"{joined[place]}:{number}"


@dataclass(frozen=True, eq=False)
class Topology:
    """A neural topology: neurons as nodes, averaged correlations as edges.

    Attributes
    ----------
    matrix : ndarray of float32, shape (n_neurons, n_neurons)
        Correlations, dimensionless; 0 in rows of undefined neurons. Symmetric with a diagonal of
        1, unless `kind` is `cross`.
    name : str
        `all_layers`, `layer_12`, `cross_layer_3_7` or `full`, with `_part1` if there are parts, and
        before that `_without_sinks` where the same matrix with them stands beside.
    layers : tuple of int
        Decoder blocks, from 0, that are averaged over or joined, see `kind`.
    scheme, weight : str
        How examples were averaged (mean, fisher or pooled), and what is weighted equally (example
        or token).
    part, parts : int
        Part of the examples, from 1, and the number of parts.
    examples : int
        Examples in the part.
    undefined : tuple of int
        Neurons that were constant in every example; with kind `cross` the columns' neurons are
        numbered after the rows'.
    site : str
        Where neurons were read: residual, mlp, attention or embedding.
    model, data, subject, init : str
        Model, data set, subject (None for data without subjects) and weights.
    standard_error : ndarray of float32, shape (n_neurons, n_neurons), or None
        Standard error of every edge, NaN where fewer than two examples defined it.
    reliability : Reliability or None
        Its reliability.
    kind : str
        `layer`: neurons of a layer, or the mean over several, with each other; `cross`: the rows
        are neurons of the first of two layers, the columns of the second; `full`: neurons of all
        layers with each other, layer by layer, so that with n neurons per layer neuron k of the
        p-th layer is number p·n + k.
    correlation : str
        `pearson`, or `spearman`: r of the activations' ranks over the tokens of each example.
    without_sinks : bool
        Whether tokens whose norm is an outlier of their text were left out, layer by layer.
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
    correlation: str = "pearson"
    without_sinks: bool = False

    @property
    def n_neurons(self) -> int:
        """Number of nodes (rows)."""
        return len(self.matrix)

    @property
    def beside(self) -> bool:
        """Whether it is the second of two of the same layers and part: that without sinks."""
        return WITHOUT_SINKS in self.name

    @property
    def layer(self) -> int | None:
        """The layer, if there is only one."""
        return self.layers[0] if len(self.layers) == 1 else None

    def neuron_name(self, neuron: int) -> str:
        """Return a neuron's number, with its layer (`3:17`) if the topology joins several."""
        joined = self.layers if self.kind == "full" else ()
        return neuron_name(neuron, joined, self.n_neurons)

    @classmethod
    def load(cls, run: Path, record: Mapping[str, Any]) -> "Topology":
        """Load from the files of `save` and the record of `record`.

        Raises
        ------
        UserError
            If a file is missing or is not a matrix.
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
            raise UserError(f"{run} lacks {error.filename}; repeat the run") from None
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{run} has a corrupt matrix ({error}); repeat the run") from None
        return cls(**rest, **arrays)

    def record(self) -> dict[str, Any]:
        """Return everything but the matrices, with the names of their files, for the manifest."""
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
        """Write the matrices atomically under a run's folder; return their paths."""
        paths = []
        for key, array in (("", self.matrix), ("_stderr", self.standard_error)):
            if array is not None:
                path = run / matrix_file(self.name, key)
                paths.append(path)
                source = getattr(array, "filename", None)
                if source is not None and path.is_file() and path.samefile(source):
                    continue  # mapped from this file
                with atomic_write(path) as unfinished, unfinished.open("wb") as stream:
                    np.save(stream, array, allow_pickle=False)
        return paths


def matrix_file(name: str, key: str = "") -> str:
    """Return the file of a topology's matrix relative to its run's folder."""
    group, _, part = name.partition("_part")
    return f"{FOLDER}/{group}_avg_corr{key}{'_part' + part if part else ''}.npy"


def load_matrix(file: Path) -> NDArray[np.float32]:
    """Load a matrix; a large one is mapped from the disk."""
    mode: Literal["r"] | None = "r" if file.stat().st_size > _LARGE else None
    matrix: NDArray[np.float32] = np.load(file, mmap_mode=mode, allow_pickle=False)
    return matrix
