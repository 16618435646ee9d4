"""The partition of the examples into cells; the examples of every matrix are a union of cells.

Each cell has its own sums. A matrix over several cells merges their sums, so that parts, halves and
the whole come from one pass over the texts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np

from probe.errors import UserError
from probe.examples.choose import Example


@dataclass(frozen=True)
class MatrixSpec:
    """A matrix to compute.

    Attributes
    ----------
    name : str
        Its name, e.g. `layer_12_part1`.
    layers : list of int
        Layers that are averaged over or whose neurons are joined, see `kind`.
    cells : list of int
        Cells of examples that are averaged over.
    scheme : str
        Averaging scheme: mean, fisher or pooled.
    part, parts : int
        Part of the examples, from 1, and the number of parts.
    halves : bool
        Whether its two cells are halves, to be correlated with each other.
    kind : str
        `layer`: neurons of a layer (or the mean over several) with each other; `cross`: those of
        the first of two layers with those of the second; `full`: of all layers with each other.
    drops : bool
        Whether tokens whose norm is an outlier of their text are left out, layer by layer.
    """

    name: str
    layers: list[int]
    cells: list[int]
    scheme: str = "mean"
    part: int = 1
    parts: int = 1
    halves: bool = False
    kind: str = "layer"
    drops: bool = False

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The two layers of every block of the matrix."""
        if self.kind == "layer":
            return []
        if self.kind == "cross":
            return [(self.layers[0], self.layers[1])]
        return list(combinations_with_replacement(self.layers, 2))


@dataclass(frozen=True)
class View:
    """A matrix of a study: some layers over a contiguous range of examples.

    Attributes
    ----------
    name : str
        Its name, e.g. `layer_12`.
    layers : tuple of int
        Layers that are averaged over.
    start, stop : int
        The first example, and the one after the last.
    scheme : str
        Averaging scheme: mean, fisher or pooled.
    """

    name: str
    layers: tuple[int, ...]
    start: int
    stop: int
    scheme: str = "mean"


def partition_by_views(
    views: Sequence[View], n_examples: int, n_layers: int
) -> tuple[list[list[int]], list[MatrixSpec]]:
    """Return the cells between the borders of all views, and the views' matrices.

    Examples outside all views are in no cell.

    Raises
    ------
    UserError
        If a view has no layers or examples, some that do not exist, or the name of another view.

    Examples
    --------
    >>> views = [View("all", (0,), 0, 5), View("first", (0,), 0, 1)]
    >>> cells, matrices = partition_by_views(views, n_examples=5, n_layers=1)
    >>> cells
    [[0], [1, 2, 3, 4]]
    >>> [matrix.cells for matrix in matrices]
    [[0, 1], [0]]
    """
    _check(views, n_examples, n_layers)
    borders = sorted({border for view in views for border in (view.start, view.stop)})
    ranges = [
        (start, stop)
        for start, stop in pairwise(borders)
        if any(view.start <= start < view.stop for view in views)
    ]
    matrices = [
        MatrixSpec(
            view.name,
            list(view.layers),
            [c for c, (start, _) in enumerate(ranges) if view.start <= start < view.stop],
            view.scheme,
        )
        for view in views
    ]
    return [list(range(start, stop)) for start, stop in ranges], matrices


def _check(views: Sequence[View], n_examples: int, n_layers: int) -> None:
    if not views:
        raise UserError("no view is given, so there is nothing to extract; give one or more")
    for name, count in Counter(view.name for view in views).items():
        if count > 1:
            raise UserError(f"{count} views are named '{name}'; give each a name of its own")
    for view in views:
        if not 0 <= view.start < view.stop <= n_examples:
            raise UserError(
                f"view '{view.name}' goes from example {view.start} up to {view.stop}, but there "
                f"are {n_examples}; give a start and a later stop from 0 to {n_examples}"
            )
        if not view.layers or not set(view.layers) <= set(range(n_layers)):
            raise UserError(
                f"view '{view.name}' has layers {list(view.layers)}; give one or more of 0 to "
                f"{n_layers - 1}"
            )
        if len(set(view.layers)) < len(view.layers):
            raise UserError(f"view '{view.name}' names a layer twice; name each once")


def partition(
    groups: Mapping[str, list[int]],
    examples: Sequence[Example],
    scheme: str = "mean",
    parts: int = 1,
    halves: bool = True,
    kind: str = "layer",
) -> tuple[list[list[int]], list[MatrixSpec]]:
    """Return a run's cells, as numbers of examples, and its matrices.

    Parameters
    ----------
    groups : mapping of str to list of int
        Layers of a matrix, by the matrix's name.
    examples : sequence of Example
        The chosen examples.
    scheme : {"mean", "fisher", "pooled"}
        How examples are averaged.
    parts : int
        Contiguous parts of the examples, each with its own matrices.
    halves : bool
        Whether to split every part into two halves, to be correlated with each other.
    kind : {"layer", "cross", "full"}
        Kind of the matrices, see `MatrixSpec`.
    """
    cells: list[list[int]] = []
    of_part = []
    for members in split_parts(len(examples), parts):
        portions = split_halves(members, examples) if halves else [members]
        of_part.append(list(range(len(cells), len(cells) + len(portions))))
        cells += portions
    matrices = [
        MatrixSpec(
            name=f"{name}_part{part}" if parts > 1 else name,
            layers=layers,
            cells=numbers,
            scheme=scheme,
            part=part,
            parts=parts,
            halves=len(numbers) == 2,
            kind=kind,
        )
        for name, layers in groups.items()
        for part, numbers in enumerate(of_part, start=1)
    ]
    return cells, matrices


def split_parts(n_examples: int, parts: int) -> list[list[int]]:
    """Split the examples into contiguous parts of nearly equal size, as `np.array_split`."""
    return [part.tolist() for part in np.array_split(np.arange(n_examples), parts)]


def split_halves(members: Sequence[int], examples: Sequence[Example]) -> list[list[int]]:
    """Assign the documents to two halves in turn, so that no document is in both.

    Neither is a question whose answers are documents. Pieces of a single document are split in the
    middle; a single example is not split.

    Examples
    --------
    >>> split_halves([0, 1, 2], [Example("a", [1]), Example("a", [2]), Example("b", [3])])
    [[0, 1], [2]]
    """
    order: dict[str, int] = {}
    for member in members:
        order.setdefault(examples[member].group, len(order))
    if len(members) == 1:
        return [list(members)]
    if len(order) == 1:
        return [half.tolist() for half in np.array_split(np.asarray(members), 2)]
    halves: list[list[int]] = [[], []]
    for member in members:
        halves[order[examples[member].group] % 2].append(member)
    return halves
