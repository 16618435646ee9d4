"""The matrices, memory-mapped and read tile by tile, so that they may exceed memory."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]
_TILE = 2048


@dataclass
class Sums:
    """Sums over the pairs of neurons of a matrix, from which its cheap measures follow.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    r, magnitude, square : float
        Sums of r, of |r| and of r² over pairs of different neurons, or over all entries between
        two layers, dimensionless.
    """

    shape: tuple[int, int]
    r: float = 0.0
    magnitude: float = 0.0
    square: float = 0.0

    def add(self, entries: Matrix) -> None:
        """Add entries."""
        wide = entries.astype(np.float64)
        self.r += float(wide.sum())
        self.square += float(np.einsum("ij,ij->", wide, wide))
        self.magnitude += float(np.abs(wide, out=wide).sum())


@dataclass
class _Faults:
    """Faults of a matrix, each kind reported once, with its first entry and their number."""

    name: str
    first: dict[str, str] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def note(self, expected: str, bad: Mask, values: Matrix, corner: tuple[int, int]) -> None:
        places = np.argwhere(bad)
        if len(places):
            i, j = (int(place) for place in places[0])
            row, column = corner[0] + i, corner[1] + j
            self.first.setdefault(expected, f"{values[i, j]!s} at row {row}, column {column}")
            self.count[expected] += len(places)

    def lines(self) -> list[str]:
        return [
            f"{self.name}: expected {expected}, found {first}"
            + (f" and {self.count[expected] - 1} more" if self.count[expected] > 1 else "")
            for expected, first in self.first.items()
        ]


def check_matrix(file: Path, record: Mapping[str, Any]) -> tuple[list[str], Sums | None]:
    """Check a matrix of correlations by its kind.

    Returns
    -------
    list of str
        Faults.
    Sums or None
        Sums for its measures; None if it cannot be read.
    """
    matrix, fault = _open(file)
    if matrix is None:
        return [fault], None
    cross = record["kind"] == "cross"
    rows, columns = matrix.shape
    undefined = np.zeros(rows + columns if cross else rows, dtype=bool)
    numbers = record["undefined"]
    if not all(type(number) is int and 0 <= number < len(undefined) for number in numbers):
        expected = f"undefined neurons from 0 to {len(undefined) - 1}"
        return [f"{file.name}: expected {expected}, found {numbers}"], None
    undefined[numbers] = True
    faults, sums = _Faults(file.name), Sums((rows, columns))
    if cross:
        _cross(matrix, undefined, faults, sums)
    elif rows != columns or (record["kind"] == "full" and rows % len(record["layers"])):
        layers = f" of {len(record['layers'])} layers" if record["kind"] == "full" else ""
        shape = f"{rows} rows and {columns} columns"
        return [f"{file.name}: expected a square{layers}, found {shape}"], None
    else:
        _square(matrix, undefined, faults, sums)
    return faults.lines(), sums


def check_standard_error(file: Path, record: Mapping[str, Any]) -> list[str]:
    """Check a matrix of standard errors: not negative, NaN where unknown, symmetric."""
    matrix, fault = _open(file)
    if matrix is None:
        return [fault]
    if matrix.shape[0] != matrix.shape[1]:
        return [f"{file.name}: expected a square, found shape {matrix.shape}"]
    faults = _Faults(file.name)
    for corner, tile, mirrored in _tiles(matrix, file.name):
        faults.note("no negative or infinite error", (tile < 0) | np.isinf(tile), tile, corner)
        unlike = (tile != mirrored.T) & ~(np.isnan(tile) & np.isnan(mirrored.T))
        faults.note("symmetry", unlike, tile, corner)
    return faults.lines()


def _open(file: Path) -> tuple[Matrix | None, str]:
    try:
        matrix = open_memmap(file, mode="r")  # which rejects objects and archives
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, TokenError) as error:
        return None, f"{file.name}: expected a matrix, found a file that is not one ({error})"
    if matrix.dtype != np.float32 or matrix.ndim != 2:
        other = f"{matrix.dtype} of shape {matrix.shape}"
        return None, f"{file.name}: expected a matrix of float32, found {other}"
    if not matrix.size:
        return None, f"{file.name}: expected a matrix, found an empty one, shape {matrix.shape}"
    return matrix, ""


def _cross(matrix: Matrix, undefined: Mask, faults: _Faults, sums: Sums) -> None:
    """Check correlations between two layers; column neurons are numbered after the row neurons."""
    rows = len(matrix)
    for start in tqdm(range(0, rows, _TILE), desc=faults.name, disable=None, leave=False, delay=2):
        tile, corner = matrix[start : start + _TILE], (start, 0)
        of_rows = undefined[start : start + len(tile)]
        _entries(tile, of_rows, undefined[rows:], corner, faults)
        sums.add(tile)


def _square(matrix: Matrix, undefined: Mask, faults: _Faults, sums: Sums) -> None:
    """Check correlations within one set of neurons."""
    for corner, tile, mirrored in _tiles(matrix, faults.name):
        of_rows, of_columns = (
            undefined[start : start + size] for start, size in zip(corner, tile.shape, strict=True)
        )
        _entries(tile, of_rows, of_columns, corner, faults)
        faults.note("symmetry", tile != mirrored.T, tile, corner)
        if corner[0] == corner[1]:
            own = np.eye(len(tile), dtype=bool)
            expected = np.where(of_rows, 0, 1).astype(np.float32)[:, None]
            faults.note(
                "a diagonal of 1 (0 for undefined neurons)", own & (tile != expected), tile, corner
            )
            sums.add(np.tril(tile, k=-1))
        else:
            # Sums need not be right if the matrix is not symmetric.
            _entries(mirrored, of_columns, of_rows, (corner[1], corner[0]), faults)
            sums.add(tile)


def _entries(
    tile: Matrix, of_rows: Mask, of_columns: Mask, corner: tuple[int, int], faults: _Faults
) -> None:
    # Written so that NaN is out of bounds, too.
    faults.note("correlations from -1 to 1", ~(np.abs(tile) <= 1), tile, corner)
    undefined = of_rows[:, None] | of_columns[None, :]
    faults.note("0 for undefined neurons", undefined & (tile != 0), tile, corner)


def _tiles(matrix: Matrix, name: str) -> Iterator[tuple[tuple[int, int], Matrix, Matrix]]:
    """Yield each tile on and above the diagonal: its corner, itself, and its mirror image."""
    starts = range(0, len(matrix), _TILE)
    corners = [(i, j) for i in starts for j in starts if i <= j]
    for i, j in tqdm(corners, desc=name, disable=None, leave=False, delay=2):
        tile = matrix[i : i + _TILE, j : j + _TILE]
        yield (i, j), tile, matrix[j : j + _TILE, i : i + _TILE]
