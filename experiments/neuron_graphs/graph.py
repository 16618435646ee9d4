"""A neuron graph: paths of tokens that make a neuron fire, as a trie in flat arrays.

A path is read from the activating token backwards: `(cat, the)` fires at "cat" behind "the". The
element of a path is a token, a wildcard (any token) or, at its end, the start of the text.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.api import UserError

# What a node holds instead of a token.
WILDCARD, START = -1, -2
VERSION = 1
# More is not a graph that this program makes: trees of corrupt files are not followed.
_MOST_NODES = 10_000_000

Path = tuple[int, ...]
_DTYPES = {
    "parent": np.int32,
    "token": np.int32,
    "importance": np.float32,
    "activation": np.float32,
    "end_max": np.float32,
    "end_count": np.int32,
}


@dataclass(frozen=True, eq=False)
class NeuronGraph:
    """A trie of paths, its nodes in preorder, children by token.

    Attributes
    ----------
    parent : ndarray of int32, shape (n_nodes,)
        Index of each node's parent, which comes before it; −1 for activating tokens.
    token : ndarray of int32, shape (n_nodes,)
        Token id; `WILDCARD` for any token; `START` where the text must start.
    importance : ndarray of float32, shape (n_nodes,)
        The largest importance of the token for the activation of its path, dimensionless: 1 − the
        share of the activation that is left when the token is masked. 0 for wildcards.
    activation : ndarray of float32, shape (n_nodes,)
        The largest activation at the token itself, as a share of the unit's largest.
    end_max : ndarray of float32, shape (n_nodes,)
        The largest activation among the paths that end here, as a share of the unit's largest; 0
        where none does.
    end_count : ndarray of int32, shape (n_nodes,)
        Number of paths that end here.

    Raises
    ------
    UserError
        If the arrays are not a trie.
    """

    parent: NDArray[np.int32]
    token: NDArray[np.int32]
    importance: NDArray[np.float32]
    activation: NDArray[np.float32]
    end_max: NDArray[np.float32]
    end_count: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Refuse arrays that are not a trie, such as those of a corrupt file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        n = len(self.parent)
        if n > _MOST_NODES:
            raise _broken(f"it has {n} nodes")
        for name, array in arrays.items():
            if array.dtype != _DTYPES[name] or array.shape != (n,):
                raise _broken(f"{name} is {array.dtype} of shape {array.shape}")
        if ((self.parent < -1) | (self.parent >= np.arange(n))).any():
            raise _broken("a node comes before its parent")
        if (self.token < START).any() or (self.end_count < 0).any():
            raise _broken("a token or a count is out of range")
        for name in ("importance", "activation", "end_max"):
            if not np.isfinite(arrays[name]).all():
                raise _broken(f"{name} is not finite")
        below = self.parent[self.parent >= 0]
        if (self.token[below] == START).any() or (self.token[self.parent < 0] == START).any():
            raise _broken("the start of the text is not at the end of a path")
        leaves = np.ones(n, dtype=np.bool_)
        leaves[below] = False
        if (self.end_count[leaves] == 0).any():
            raise _broken("a path has no end")
        if len(np.unique(np.stack([self.parent, self.token]), axis=1).T) != n:
            raise _broken("two children of a node are the same token")

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.parent)

    @property
    def depth(self) -> NDArray[np.int32]:
        """Elements of the path before each node, shape (n_nodes,): 0 for activating tokens."""
        depth = np.zeros(len(self), dtype=np.int32)
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                depth[node] = depth[parent] + 1
        return depth

    @property
    def children(self) -> list[dict[int, int]]:
        """Nodes below each node by token; the last entry (index −1) has the activating tokens."""
        below: list[dict[int, int]] = [{} for _ in range(len(self) + 1)]
        for node, (parent, token) in enumerate(zip(self.parent, self.token, strict=True)):
            below[parent][int(token)] = node
        return below

    @property
    def ends(self) -> dict[Path, float]:
        """The largest activation of every path that ends somewhere, by path."""
        paths: list[Path] = []
        for parent, token in zip(self.parent.tolist(), self.token.tolist(), strict=True):
            paths.append((*(paths[parent] if parent >= 0 else ()), token))
        return {
            path: float(value)
            for path, value, count in zip(paths, self.end_max, self.end_count, strict=True)
            if count
        }

    def check_tokens(self, n_tokens: int) -> None:
        """Refuse tokens that the vocabulary does not have.

        Raises
        ------
        UserError
            If there are any.
        """
        if len(self) and self.token.max() >= n_tokens:
            raise _broken(f"token {self.token.max()} is not among the {n_tokens} of the model")

    def to_json(self) -> str:
        """Write the graph as JSON, the same text for the same graph."""
        arrays = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        return json.dumps({"version": VERSION, **arrays}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "NeuronGraph":
        """Read a graph.

        Raises
        ------
        UserError
            If the text is damaged, or of another version.
        """
        try:
            given = json.loads(text)
            if given["version"] != VERSION:
                raise UserError(
                    f"a neuron graph is of version {given['version']}, and this program reads "
                    f"version {VERSION}; use the program that wrote it"
                )
            return _made_of(given)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise _broken(f"{type(error).__name__}: {error}") from error

    @classmethod
    def of_paths(cls, paths: Mapping[Path, float]) -> "NeuronGraph":
        """Make a graph of paths and their activations, each seen once with importance 1.

        Examples
        --------
        >>> NeuronGraph.of_paths({(5, WILDCARD, 1): 1.0}).ends
        {(5, -1, 1): 1.0}
        """
        return flatten([Line.of(path, value) for path, value in paths.items()])


@dataclass(frozen=True)
class Line:
    """One path that was seen to fire.

    Attributes
    ----------
    path : tuple of int
        Tokens, wildcards and `START`, from the activating token backwards.
    value : float
        Activation at the activating token, as a share of the unit's largest.
    importance, activation : tuple of float
        Of every element, see `NeuronGraph`.
    """

    path: Path
    value: float
    importance: tuple[float, ...]
    activation: tuple[float, ...]

    @classmethod
    def of(cls, path: Path, value: float) -> "Line":
        """Return a line whose tokens all have importance 1 and whose first one alone fires."""
        importance = tuple(float(token != WILDCARD) for token in path)
        return cls(path, value, importance, (value, *[0.0] * (len(path) - 1)))


def flatten(lines: Iterable[Line]) -> NeuronGraph:
    """Make the trie of all lines, which does not depend on their order."""
    nodes: dict[Path, dict[str, Any]] = {}
    for line in lines:
        for n in range(1, len(line.path) + 1):
            node = nodes.setdefault(
                line.path[:n],
                {"importance": 0.0, "activation": 0.0, "end_max": 0.0, "end_count": 0},
            )
            node["importance"] = max(node["importance"], line.importance[n - 1])
            node["activation"] = max(node["activation"], line.activation[n - 1])
        node["end_max"] = max(node["end_max"], line.value)
        node["end_count"] += 1
    # Tuples in order are a preorder, as a path comes directly before those that begin with it.
    order = {path: number for number, path in enumerate(sorted(nodes))}
    columns: dict[str, list[Any]] = {
        "parent": [order.get(path[:-1], -1) for path in order],
        "token": [path[-1] for path in order],
    }
    for name in ("importance", "activation", "end_max", "end_count"):
        columns[name] = [nodes[path][name] for path in order]
    return _made_of(columns)


def _made_of(columns: Mapping[str, Any]) -> NeuronGraph:
    arrays: dict[str, Any] = {name: np.array(columns[name], kind) for name, kind in _DTYPES.items()}
    return NeuronGraph(**arrays)


def _broken(why: str) -> UserError:
    return UserError(f"a neuron graph is damaged: {why}; build it again")
