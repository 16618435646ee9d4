"""Topologies to test with, made without a model."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from probe.topology import Topology


def topology_of(matrix: ArrayLike, /, **changed: Any) -> Topology:
    """Make a topology of a matrix, usual in everything that is not said."""
    topology = Topology(
        matrix=np.asarray(matrix, dtype=np.float32),
        name="layer_12",
        layers=(12,),
        scheme="mean",
        weight="example",
        part=1,
        parts=1,
        examples=40,
        undefined=(),
        site="residual",
        model="tiny",
        data="words",
        subject=None,
        init="pretrained",
    )
    return replace(topology, **changed)


def random_correlations(n: int, seed: int, series: int = 6) -> ArrayLike:
    """Correlate random series of a length, with a diagonal of exactly 1."""
    matrix = np.corrcoef(np.random.default_rng(seed).standard_normal((n, series)))
    np.fill_diagonal(matrix, 1)
    return matrix
