"""The published analysis of weights as its code goes about it, written anew from its description.

Edge by edge and node by node in Python, with files between the stages: what the vectorised analysis
is compared with, in speed by the benchmark and in numbers by the tests. Xiao et al. (2025),
arXiv:2402.09099.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import linregress

Array = NDArray[Any]
Edges = list[list[Any]]
MOMENTS = [number / 100 for number in range(-300, 301, 10)]


class Block(NamedTuple):
    """Weights of a block of GPT-NeoX, (n_outputs, n_inputs)."""

    query_key_value: Array
    dense: Array
    up: Array
    down: Array


class Published(NamedTuple):
    """What comes out, the width and α₀ as numbers."""

    tau: list[float]
    alpha: list[float]
    f: list[float]
    alpha0: float
    width: float


def published(
    blocks: Sequence[Block], size: int, seed: int, folder: Path, threshold: float = 150
) -> Published:
    """Analyse one sample of a model, by way of two files."""
    np.save(folder / "edges.npy", np.array(edges(blocks, size, seed)), allow_pickle=False)
    listed = np.load(folder / "edges.npy", allow_pickle=False)
    # Numbers come back from JSON as they were.
    (folder / "nodes.json").write_text(json.dumps(outgoing(listed)))
    return spectrum(exponents(json.loads((folder / "nodes.json").read_text()), threshold))


def sampled(n_blocks: int, width: int, size: int, seed: int) -> list[Array]:
    """Draw input, value, dense output and hidden units of every block, and last outputs."""
    np.random.seed(seed)
    layers = [(width, size), (width, size), (width, size), (4 * width, 2 * size)] * n_blocks
    return [np.random.choice(np.arange(n), k, replace=False) for n, k in [*layers, (width, size)]]


def edges(blocks: Sequence[Block], size: int, seed: int) -> Edges:
    """List source, target and weight of every edge between sampled neurons."""
    width, found, start = len(blocks[0].dense), Edges(), 0
    neurons = sampled(len(blocks), width, size, seed)
    for number, block in enumerate(blocks):
        inputs, value, output, hidden, following = neurons[4 * number : 4 * number + 5]
        fused = np.concatenate([value + third * width for third in range(3)])
        invented = np.vstack([np.eye(width), np.ones((2 * width, width))])
        for weights, sources, targets in (
            (block.query_key_value.T, inputs, fused),
            (invented, fused, value),
            (block.dense.T, value, output),
            (block.up.T, output, hidden),
            (block.down.T, hidden, following),
        ):
            end = start + len(weights)
            for source in sources:
                for target in targets:
                    if weights[source, target] != 0:
                        found.append([start + source, end + target, weights[source, target]])
            start = end
    return found


def outgoing(listed: Array) -> list[list[float]]:
    """Collect 1/|w| of the edges that leave every node."""
    nodes: dict[float, list[float]] = {}
    for source, _, weight in listed:
        nodes.setdefault(source, []).append(1 / np.abs(weight))
    return [nodes[source] for source in sorted(nodes)]


def exponents(nodes: Sequence[Sequence[float]], threshold: float) -> list[float]:
    """Grow boxes node by node and radius by radius, and fit a line for every moment."""
    histograms, found = [], set[float]()
    for lengths in nodes:
        counting = [length for length in lengths if 1 < length <= threshold]
        if len(counting) > 10:
            histograms.append(Counter(np.round(counting, 0)))
            found |= histograms[-1].keys()
    radii = np.array(sorted(found))
    boxes = np.ones((len(histograms), len(radii)))
    for node, histogram in enumerate(histograms):
        for column, radius in enumerate(radii):
            boxes[node, column] += sum(n for at, n in histogram.items() if at <= radius)
    tau = []
    for q in MOMENTS:
        partition = np.sum(np.power(boxes / boxes[:, -1:], q), axis=0)
        tau.append(linregress(np.log(radii / radii[-1]), np.log(partition)).slope)
    return tau


def spectrum(tau: Sequence[float]) -> Published:
    """Take differences, the Legendre transform and its maximum."""
    alpha, f = [], []
    for left in range(len(MOMENTS) - 1):
        alpha.append((tau[left + 1] - tau[left]) / (MOMENTS[left + 1] - MOMENTS[left]))
        f.append(MOMENTS[left] * alpha[left] - tau[left])
    return Published(list(tau), alpha, f, alpha[int(np.argmax(f))], max(alpha) - min(alpha))
