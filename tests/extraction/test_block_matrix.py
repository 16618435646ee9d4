"""A matrix of several layers is written block by block, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from probe.extraction.block_matrix import join_blocks
from probe.topology import load_matrix
from tests.topologies import topology_of


def blocks(whole: np.ndarray, layers: list[int]) -> dict[tuple[int, int], Tensor]:
    n = len(whole) // len(layers)
    return {
        (i, j): torch.from_numpy(whole[p * n : (p + 1) * n, q * n : (q + 1) * n].copy())
        for p, i in enumerate(layers)
        for q, j in enumerate(layers)
        if p <= q
    }


def symmetric(n: int) -> np.ndarray:
    matrix = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    return matrix + matrix.T


@pytest.mark.parametrize("layers", [[0, 1], [3, 7, 12]])
@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_become_the_matrix_they_were_cut_from(
    layers: list[int], on_disk: bool, tmp_path: Path
) -> None:
    whole = symmetric(4 * len(layers))
    file = tmp_path / "topology" / "full_avg_corr.npy"
    joined = join_blocks(blocks(whole, layers), file if on_disk else None)
    np.testing.assert_array_equal(joined, whole)
    assert joined.dtype == np.float32
    if on_disk:
        np.testing.assert_array_equal(np.load(file, allow_pickle=False), whole)
        assert list(file.parent.iterdir()) == [file]


def test_a_matrix_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    broken = blocks(symmetric(4), [0, 1]) | {(1, 1): torch.ones(3, 3)}
    with pytest.raises(ValueError, match="broadcast"):
        join_blocks(broken, tmp_path / "full_avg_corr.npy")
    assert not list(tmp_path.iterdir())


def test_a_large_matrix_stays_on_disk_and_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.topology.topology._LARGE", 100)
    file = tmp_path / "topology" / "full_avg_corr.npy"
    whole = symmetric(8)
    joined = join_blocks(blocks(whole, [0, 1]), file)
    assert isinstance(joined, np.memmap)
    assert not joined.flags.writeable
    before = file.stat()
    topology = topology_of(whole, name="full", kind="full", matrix=joined)
    assert topology.save(tmp_path) == [file]
    assert file.stat() == before
    # A second run gets a copy of its own.
    [copy] = topology.save(tmp_path / "other")
    np.testing.assert_array_equal(load_matrix(copy), whole)
