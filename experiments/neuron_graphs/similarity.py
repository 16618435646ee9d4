"""How alike two units are: by the tokens of their graphs, and by where these fire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from tqdm import tqdm

from experiments.neuron_graphs.roles import ROLES
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit

# Overlap in both roles from which a pair is similar, or one a subset of the other (Foote et al.).
THRESHOLD = 0.9
# Products of a block of units with all others, and pairs whose contexts are compared at a time.
_PRODUCTS, _PAIRS = 20_000_000, 200_000
# A product such as 0.9 · 10 may be that much above the whole number that it is.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class TokenSets:
    """The tokens of many units in each role.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n_units,)
        Numbers of the units in the tables, in the order of units.
    units : tuple of Unit
        Which they are.
    sets : mapping of str to csr_array, shape (n_units, n_tokens + 1)
        By role: 1 where a unit has a token. The last column stands for no token at all, so that
        two empty sets are equal.
    """

    numbers: NDArray[np.int64]
    units: tuple[Unit, ...]
    sets: Mapping[str, csr_array]

    @cached_property
    def sizes(self) -> dict[str, NDArray[np.int64]]:
        """Tokens of every unit by role, at least 1; shape (n_units,)."""
        return {role: np.diff(own.indptr).astype(np.int64) for role, own in self.sets.items()}

    @cached_property
    def n_tokens(self) -> NDArray[np.int64]:
        """Tokens of every unit in both roles, shape (n_units,)."""
        counts = [np.asarray(own[:, :-1].sum(axis=1)) for own in self.sets.values()]
        return np.asarray(np.sum(counts, axis=0, dtype=np.int64))


def token_sets(store: Store) -> TokenSets:
    """Read the tokens of all units that have a graph."""
    with_tokens = {number for (number,) in store.rows("SELECT DISTINCT unit FROM postings")}
    numbered = {key: unit for key, unit in store.numbered().items() if key in with_tokens}
    numbers = np.array(list(numbered), np.int64)
    place = {number: position for position, number in enumerate(numbered)}
    n_tokens = store.rows("SELECT COUNT(*) FROM tokens")[0][0]
    sets = {}
    for role in ROLES:
        rows = store.rows("SELECT unit, token FROM postings WHERE role = ?", (role,))
        units = np.array([place[unit] for unit, _ in rows], np.int64)
        tokens = np.array([token for _, token in rows], np.int64)
        empty = np.setdiff1d(np.arange(len(numbers)), units)
        units, tokens = np.append(units, empty), np.append(tokens, np.full(len(empty), n_tokens))
        ones = np.ones(len(units), np.int32)
        sets[role] = csr_array((ones, (units, tokens)), shape=(len(numbers), n_tokens + 1))
    return TokenSets(numbers, tuple(numbered.values()), sets)


def overlaps(tokens: TokenSets, place: int) -> dict[str, NDArray[np.float64]]:
    """Return the overlap of one unit with every unit by role, |A ∩ B| / max(|A|, |B|).

    Two empty sets have overlap 1.

    Returns
    -------
    dict of str to ndarray, shape (n_units,)
        Dimensionless, in [0, 1].
    """
    overlap = {}
    for role, own in tokens.sets.items():
        common = np.asarray((own @ own[[place]].T).todense()).ravel()
        size = tokens.sizes[role]
        overlap[role] = common / np.maximum(size, size[place])
    return overlap


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of units with the same tokens, and pairs of which one has all tokens of the other.

    Attributes
    ----------
    similar : ndarray of int64, shape (n_similar, 2)
        Places of pairs that overlap in both roles, the lower unit first.
    subsets : ndarray of int64, shape (n_subsets, 2)
        Places of the other pairs of which one contains the other, the one with fewer tokens first.
    """

    similar: NDArray[np.int64]
    subsets: NDArray[np.int64]


def pairs(tokens: TokenSets, threshold: float = THRESHOLD) -> Pairs:
    """Find all similar pairs and all subset pairs.

    Similar: |A ∩ B| / max(|A|, |B|) is at least the threshold in both roles. Subset: not similar,
    and |A ∩ B| / min(|A|, |B|) is, in both roles (Foote et al. 2023, section 3.6). Other than
    there, two empty sets overlap, and the direction of a subset does not depend on hashes.
    """
    similar, subsets = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)]
    for both in _candidates(tokens, threshold):
        larger, smaller = np.ones(len(both), np.bool_), np.ones(len(both), np.bool_)
        for role, own in tokens.sets.items():
            common = own[both[:, 0]].multiply(own[both[:, 1]]).sum(axis=1)
            size = tokens.sizes[role][both]
            larger &= common / size.max(axis=1) >= threshold
            smaller &= common / size.min(axis=1) >= threshold
        similar.append(both[larger])
        rest = both[smaller & ~larger]
        count = tokens.n_tokens[rest]
        subsets.append(np.where((count[:, 0] > count[:, 1])[:, None], rest[:, ::-1], rest))
    return Pairs(_sorted(similar), _sorted(subsets))


def _sorted(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    both = np.concatenate(parts)
    return both[np.lexsort((both[:, 1], both[:, 0]))]


def pair_rows(store: Store) -> list[dict[str, Any]]:
    """Return how many pairs are similar, and how many are subsets, as rows of a table."""
    tokens = token_sets(store)
    found = pairs(tokens)
    layers = np.array([unit.layer for unit in tokens.units], np.int64)
    return [
        {
            "kind": kind, "pairs": len(both),
            "within_layer": int((layers[both[:, 0]] == layers[both[:, 1]]).sum()),
            "units": len(tokens.units), "threshold": THRESHOLD,
        }
        for kind, both in (("similar", found.similar), ("subset", found.subsets))
    ]  # fmt: skip


def _candidates(tokens: TokenSets, threshold: float) -> Iterator[NDArray[np.int64]]:
    """Return pairs that may share enough of their activating tokens, the lower unit first, once.

    A set of which another one has a share of at least the threshold has at least one token in
    common with it among any 1 + floor((1 - threshold) size) of its tokens: among its rarest, too.
    """
    own, size = tokens.sets[ROLES[0]], tokens.sizes[ROLES[0]]
    rare = _rarest(own, size - np.ceil(threshold * size - _ROUNDING).astype(np.int64) + 1)
    n, step = len(size), max(1, _PRODUCTS // max(1, len(size)))
    for start in tqdm(range(0, n, step), desc="pairs", disable=None, leave=False, delay=2):
        common = (rare[start : start + step] @ own.T).tocoo()
        one, other = common.row.astype(np.int64) + start, common.col.astype(np.int64)
        kept = (size[one] < size[other]) | ((size[one] == size[other]) & (one < other))
        both = np.sort(np.stack([one[kept], other[kept]], axis=1), axis=1)
        for first in range(0, len(both), _PAIRS):
            yield both[first : first + _PAIRS]


def _rarest(sets: csr_array, most: NDArray[np.int64]) -> csr_array:
    """Keep so many tokens of every set, those that the fewest sets have."""
    rows = np.repeat(np.arange(len(most)), np.diff(sets.indptr))
    frequency = np.bincount(sets.indices, minlength=sets.shape[1])[sets.indices]
    order = np.lexsort((sets.indices, frequency, rows))
    rank = np.arange(len(rows)) - sets.indptr[rows]
    kept = order[rank < most[rows]]
    return csr_array((sets.data[kept], (rows[kept], sets.indices[kept])), shape=sets.shape)
