"""The compiled library is loaded fast, on one thread, and gives the same in every process."""

import subprocess
import sys

import numpy as np
import pytest

from probe.measures.compiled import compiled, ends_of, networkit, repeatable


def test_a_graph_comes_back_with_its_edges() -> None:
    first, second = np.array([0, 0, 3]), np.array([1, 4, 2])
    found = compiled(6, first, second, np.array([0.5, 0.25, 1.0]))
    assert (found.numberOfNodes(), found.numberOfEdges()) == (6, 3)
    assert found.weight(4, 0) == 0.25
    pairs = {frozenset(pair) for pair in zip(*ends_of(found), strict=True)}
    assert pairs == {frozenset(pair) for pair in zip(first, second, strict=True)}


def test_ctrl_c_within_the_library_is_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), repeatable(np.random.default_rng(0)):
        raise RuntimeError("Received CTRL+C/SIGINT")
    with pytest.raises(RuntimeError, match="otherwise"), repeatable(np.random.default_rng(0)):
        raise RuntimeError("otherwise")


def test_the_number_of_threads_is_what_it_was() -> None:
    engineering = networkit().engineering
    before = engineering.getMaxNumberOfThreads()
    engineering.setNumberOfThreads(3)
    with repeatable(np.random.default_rng(0)):
        assert engineering.getMaxNumberOfThreads() == 1
    assert engineering.getMaxNumberOfThreads() == 3
    engineering.setNumberOfThreads(before)


MEASURE = """
import sys
import numpy as np
from probe.config import MeasuresConfig
from probe.measures.graph_measures import graph_measures
from tests.topologies import random_correlations
matrix = np.asarray(random_correlations(120, 1, 20), dtype=np.float32)
measures, labels, _ = graph_measures(matrix, 0.1, 6, MeasuresConfig(rewired=2))
print(measures, labels.tolist())
assert not {"pandas", "sklearn", "matplotlib", "networkx", "networkit"} & sys.modules.keys()
import networkit
assert networkit.community.PLM and networkit.nxadapter
"""


@pytest.mark.processes
def test_processes_with_more_threads_and_other_hashes_give_the_same() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", MEASURE],
            env={"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads, "PYTHONPATH": "."},
            capture_output=True, check=True, text=True,
        ).stdout
        for threads in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1] != ""
