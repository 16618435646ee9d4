"""Multifractal analysis of weights: the published way and ours, shortest paths, a model of 2.8B.

One sampled network of 160M in both ways; its shortest paths by SciPy's Dijkstra and by ours; and
one of 2.8B from a checkpoint of float16 shards, in a process of its own whose memory is its peak.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from benchmarks.commands import Usage, call
from benchmarks.neox import published_layout, random_blocks, weights_of, write_shards
from benchmarks.published_multifractal import Block, published
from benchmarks.report import Report, save
from benchmarks.timing import Timing, describe, interleave
from experiments.multifractal import paths
from experiments.multifractal.boxes import Rules, grow
from experiments.multifractal.minplus import in_numpy, min_plus
from experiments.multifractal.modes import MODES, Multifractal
from experiments.multifractal.network import Matrix, Network
from experiments.multifractal.paths import Paths
from experiments.multifractal.reading import network, neurons
from probe.api import compose
from probe.api.parts import open_weights

# Blocks, width, and standard deviations of Pythia's initialisation.
SMALL, LARGE = (12, 768, (0.0228, 0.0060)), (32, 2560, (0.0125, 0.0012))
SIZE = 64
OURS, DIRECT = "one network: ours", "one network: the published way"
COMPILED, NUMPY, SCIPY = (
    f"all paths: {way}" for way in ("ours, numba", "ours, NumPy", "SciPy's Dijkstra")
)
FAR = "all paths of 2.8B, from its shards"


def run(options: argparse.Namespace) -> None:
    """Run the large model, time both ways on the small one, and compare their numbers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # First, as the peak of a process that is started is never less than its parent's so far.
        _started("write", place)
        found = {"libraries": _started("write").peak}
        usage = _started("far", place, str(folder / "found.json"))
        found |= json.loads((folder / "found.json").read_text())
        found["shards"] = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        blocks = list(random_blocks(*SMALL))
        small = read(blocks)
        edges = adjacency(small)
        timings = interleave(
            {
                OURS: partial(_run, ours, blocks),
                DIRECT: partial(_run, published, blocks, SIZE, 0, folder),
                COMPILED: partial(_run, all_paths, small, min_plus),
                NUMPY: partial(_run, all_paths, small, in_numpy),
                SCIPY: partial(_run, dijkstra, edges),
            },
            options.rounds,
            torch.device("cpu"),
        )
        alike = agreement(blocks, folder)
    save(report(timings, alike, usage, found, options.rounds))


def write(*folders: str) -> None:
    """Write the checkpoint of the large model."""
    for folder in folders:
        write_shards(Path(folder), *LARGE)


def read(blocks: list[Block]) -> Network:
    """Read the first sample of a model in memory."""
    layout = published_layout(len(blocks), len(blocks[0].dense))
    return network(weights_of(blocks), layout, neurons(layout, SIZE, 0))


def ours(blocks: list[Block]) -> Multifractal:
    """Read and analyse the first sample as published."""
    return MODES["public"].analyse(read(blocks), Rules())


def all_paths(network: Network, product: Callable[[Matrix, Matrix], Matrix]) -> None:
    """Go through all shortest paths, of which none are kept."""
    through = Paths(network, reach=None)
    with patch.object(paths, "min_plus", product):
        for layer in range(len(network.sizes)):
            deque(through.from_layer(layer), maxlen=0)


def adjacency(network: Network) -> csr_array:
    """Return the lengths of all edges as SciPy wants them."""
    lengths = np.zeros((network.starts[-1],) * 2)
    for link in network.links:
        rows, columns = (
            slice(network.starts[layer], network.starts[layer + 1])
            for layer in (link.source, link.target)
        )
        lengths[rows, columns] = link.distances()
    lengths[np.isinf(lengths)] = 0
    return csr_array(lengths)


def agreement(blocks: list[Block], folder: Path) -> dict[str, float]:
    """Return the largest differences of τ, and of distances relative to them."""
    small = read(blocks)
    expected = dijkstra(adjacency(small))
    through, worst = Paths(small, reach=None), 0.0
    for source, start in enumerate(small.starts[:-1]):
        for target, distances in through.from_layer(source):
            there = expected[start : start + len(distances), small.starts[target] :]
            there = there[:, : distances.shape[1]]
            assert np.array_equal(np.isinf(there), np.isinf(distances))
            defined = np.isfinite(there)
            error = np.abs(there[defined] - distances[defined]) / there[defined]
            worst = max(worst, float(error.max(initial=0)))
    tau = ours(blocks).scaling.tau - published(blocks, SIZE, 0, folder).tau
    return {DIRECT: float(np.abs(tau).max()), SCIPY: worst}


def far(folder: str, file: str) -> None:
    """Sample a checkpoint, analyse all its paths, and write what was found and its seconds."""
    config = compose("model=local", f"model.path={folder}")
    layout = published_layout(*LARGE[:2])
    started = time.perf_counter()
    sampled = network(open_weights(config.model, config.init), layout, neurons(layout, SIZE, 0))
    read = time.perf_counter()
    boxes = grow(sampled, Rules(reach=None))
    found = {
        "nodes": sum(sampled.sizes),
        "counted": len(boxes.counts),
        "reading": read - started,
        "paths": time.perf_counter() - read,
    }
    Path(file).write_text(json.dumps(found))


def report(
    timings: dict[str, Timing],
    alike: dict[str, float],
    usage: Usage,
    found: dict[str, Any],
    rounds: int,
) -> Report:
    """Return the report: medians, ratios within rounds, differences, memory."""
    rows = []
    for name, timing in timings.items():
        wall, cpu = timing.over(timings[OURS if name in (OURS, DIRECT) else COMPILED])
        rows.append(
            [name, f"{statistics.median(timing.wall):.4g}", f"{wall:.1f}",
             f"{statistics.median(timing.cpu):.4g}", f"{cpu:.1f}",
             f"{alike[name]:.1e}" if name in alike else "", ""]
        )  # fmt: skip
    seconds = found["reading"] + found["paths"]
    rows.append([FAR, f"{seconds:.4g}", "", f"{usage.cpu:.4g}", "", "", f"{usage.peak / 1e6:.0f}"])
    dense, libraries = 8 * found["nodes"] ** 2, found["libraries"]
    return Report(
        name="multifractal-cpu",
        title="Multifractal analysis of weights",
        facts=describe(torch.device("cpu"))
        | {"numba": version("numba"), "sample": SIZE, "rounds": rounds},
        columns=["", "wall s", "over ours", "CPU s", "over ours", "largest difference", "peak MB"],
        rows=rows,
        notes=[
            f"One network is sampled from weights of 160M in memory ({SMALL[0]} blocks of "
            f"{SMALL[1]}) and analysed; paths are those between all of its 6,208 nodes. The "
            "difference is that of τ, and of distances relative to them.",
            f"2.8B ({LARGE[0]} blocks of {LARGE[1]}): {found['shards'] / 1e9:.1f} GB of shards, "
            f"{found['nodes']} nodes, whose distances would take {dense / 1e9:.1f} GB; read in "
            f"{found['reading']:.1f} s, paths and boxes in {found['paths']:.1f} s. The peak is "
            f"that of the whole process, of which its libraries are {libraries / 1e6:.0f}.",
        ],
        raw={
            "timings": {name: vars(timing) for name, timing in timings.items()},
            "differences": alike,
            "2.8B": found | vars(usage),
        },
    )  # fmt: skip


def _started(name: str, *words: str) -> Usage:
    """Call a function of this module in a process of its own."""
    code = f"import sys, benchmarks.multifractal as here; here.{name}(*sys.argv[1:])"
    return call([sys.executable, "-c", code, *words])


def _run(method: Callable[..., object], *given: object) -> float:
    method(*given)
    return 0.0
