"""One matrix of the neurons of several layers, written block by block."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from probe.system.files import atomic_write
from probe.topology import load_matrix

Blocks = Mapping[tuple[int, int], Tensor]


def join_blocks(blocks: Blocks, file: Path | None = None) -> NDArray[np.float32]:
    """Join the blocks on and above the diagonal into a symmetric matrix.

    Parameters
    ----------
    blocks : mapping of (int, int) to Tensor of float32, shape (n_neurons, n_neurons)
        By the two layers, which are ordered by their numbers in the matrix.
    file : Path, optional
        Where to write the matrix, so that it is not in memory twice; a large one is mapped from
        there.

    Returns
    -------
    ndarray of float32, shape (n_layers · n_neurons, n_layers · n_neurons)

    Examples
    --------
    >>> import torch
    >>> one, half = torch.ones(1, 1), torch.full((1, 1), 0.5)
    >>> join_blocks({(3, 3): one, (3, 7): half, (7, 7): one})
    array([[1. , 0.5],
           [0.5, 1. ]], dtype=float32)
    """
    layers = sorted({layer for pair in blocks for layer in pair})
    size = len(layers) * len(next(iter(blocks.values())))
    if file is None:
        whole = np.empty((size, size), dtype=np.float32)
        _fill(whole, blocks, layers)
        return whole
    with atomic_write(file) as unfinished:
        mapped = open_memmap(unfinished, mode="w+", dtype=np.float32, shape=(size, size))
        if hasattr(os, "posix_fallocate"):
            # On a full disk writing to mapped pages would end the process with a signal.
            with unfinished.open("rb+") as stream:
                os.posix_fallocate(stream.fileno(), 0, unfinished.stat().st_size)
        _fill(mapped, blocks, layers)
        mapped.flush()
        del mapped
    return load_matrix(file)


def _fill(whole: NDArray[np.float32], blocks: Blocks, layers: list[int]) -> None:
    for (i, j), block in tqdm(blocks.items(), desc="blocks", disable=None, leave=False, delay=2):
        n = len(block)
        rows, columns = (slice(p * n, (p + 1) * n) for p in (layers.index(i), layers.index(j)))
        array = block.cpu().numpy()
        whole[rows, columns] = array
        whole[columns, rows] = array.T
