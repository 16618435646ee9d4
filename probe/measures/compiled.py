"""NetworKit, compiled graph algorithms: loaded fast, on one thread, repeatable."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import Lock
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Nodes = NDArray[np.int64]
Weights = NDArray[np.float64]
_one_at_a_time = Lock()  # the library has one seed and one number of threads for all of a process


@cache
def networkit() -> Any:
    """Return the library's modules that are used here, imported without its package.

    The package imports pandas, scikit-learn, Matplotlib and networkx where they are installed: two
    seconds, for modules that take 0.06.
    """
    spec = find_spec("networkit")
    assert spec is not None, "installed with the program"
    whole = "networkit" in sys.modules
    if not whole:
        sys.modules["networkit"] = module_from_spec(spec)
    try:
        names = ("graph", "centrality", "community", "engineering", "randomization")  # graph first
        modules = {name: import_module(f"networkit.{name}") for name in names}
    finally:
        if not whole:
            del sys.modules["networkit"]  # whoever imports it gets all of it
    modules["engineering"].setLogLevel("ERROR")  # as its package does
    return SimpleNamespace(**modules)


@contextmanager
def repeatable(rng: np.random.Generator) -> Iterator[None]:
    """Run the library's algorithms on one thread, their randomness seeded by a generator.

    Raises
    ------
    KeyboardInterrupt
        For Ctrl-C, which the library reports as an error of its own.
    """
    engineering = networkit().engineering
    with _one_at_a_time:
        threads = engineering.getMaxNumberOfThreads()
        engineering.setNumberOfThreads(1)
        engineering.setSeed(int(rng.integers(1 << 63)), True)
        try:
            yield
        except RuntimeError as error:
            if "SIGINT" not in str(error):
                raise
            raise KeyboardInterrupt from None
        finally:
            engineering.setNumberOfThreads(threads)  # as others in this process have them


def compiled(n: int, first: Nodes, second: Nodes, weight: Weights | None = None) -> Any:
    """Return the library's graph of n nodes with these edges."""
    ends = np.ascontiguousarray(first), np.ascontiguousarray(second)
    entries = ends if weight is None else (weight, ends)
    return networkit().graph.GraphFromCoo(entries, n=n, weighted=weight is not None)


def ends_of(found: Any) -> tuple[Nodes, Nodes]:
    """Return the two ends of every edge of the library's graph, shape (n_edges,)."""
    pair = np.dtype([("first", np.int64), ("second", np.int64)])
    pairs = np.fromiter(found.iterEdges(), dtype=pair, count=found.numberOfEdges())
    return pairs["first"].copy(), pairs["second"].copy()
