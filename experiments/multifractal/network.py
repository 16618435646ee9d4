"""A network of neurons: layers of nodes, and weights between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.api import UserError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Weights = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Link:
    """The weights from the nodes of one layer to those of a later one.

    Attributes
    ----------
    source, target : int
        Numbers of the layers.
    weights : ndarray of float, shape (n_source, n_target)
        0 is no edge; signs do not matter.
    invented : bool
        Whether they are no weights of the model, but stand for something that has none.
    """

    source: int
    target: int
    weights: Weights
    invented: bool = False

    def distances(self, scale: float = 1.0) -> Matrix:
        """Return λ/|w| in float64, shape (n_source, n_target); inf where there is no edge.

        λ, the scale, is 1 in the code of Xiao et al. (2025); weights are measured in units of it,
        but for those that are invented.
        """
        weights = np.abs(self.weights, dtype=np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            return np.ascontiguousarray((1.0 if self.invented else scale) / weights)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers of nodes in the order of computation, and the links between them.

    Attributes
    ----------
    sizes : tuple of int
        Number of nodes of every layer.
    links : tuple of Link
        In any order. Most networks are chains; a gate or a parallel residual is a second link.

    Raises
    ------
    UserError
        If a link does not fit its layers, or a weight is not finite.
    """

    sizes: tuple[int, ...]
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        """Check that links fit their layers and that weights are numbers."""
        for link in self.links:
            wanted = self.sizes[link.source], self.sizes[link.target]
            where = f"weights from layer {link.source} to layer {link.target}"
            if link.source >= link.target:
                raise UserError(f"{where} go backwards; order the layers as they are computed")
            if link.weights.shape != wanted:
                raise UserError(f"{where} have shape {link.weights.shape}, not {wanted}")
            if not np.isfinite(link.weights).all():
                raise UserError(f"{where} are not all finite; the checkpoint is damaged")

    @classmethod
    def chain(cls, matrices: Sequence[Weights]) -> "Network":
        """Connect one layer to the next by every matrix (n_inputs, n_outputs), unsampled.

        Examples
        --------
        >>> Network.chain([np.ones((2, 3)), np.ones((3, 1))]).sizes
        (2, 3, 1)
        """
        sizes = widths(matrices)
        return cls(sizes, tuple(Link(i, i + 1, each) for i, each in enumerate(matrices)))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Number of the first node of every layer, and of all nodes, shape (n_layers + 1,)."""
        return np.cumsum((0, *self.sizes))

    def without_invented(self) -> "Network":
        """Leave out the links that are invented."""
        return Network(self.sizes, tuple(link for link in self.links if not link.invented))


def widths(matrices: Sequence[Weights]) -> tuple[int, ...]:
    """Return the widths of the layers that a chain of matrices (n_inputs, n_outputs) connects.

    Raises
    ------
    UserError
        If there is none, or one does not take what the one before it puts out.
    """
    if not matrices or any(each.ndim != 2 for each in matrices):
        raise UserError("a network needs a sequence of matrices (n_inputs, n_outputs)")
    for number, (before, after) in enumerate(pairwise(matrices), start=1):
        if before.shape[1] != after.shape[0]:
            raise UserError(
                f"matrix {number} has shape {after.shape}, but the one before it {before.shape}; "
                "give each as (n_inputs, n_outputs), in the order of computation"
            )
    return (matrices[0].shape[0], *(each.shape[1] for each in matrices))
