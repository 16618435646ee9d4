"""Sums are made once for what several matrices share, and put together without being changed."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from probe.correlation import Correlation, make_sums
from probe.examples.partition import MatrixSpec
from probe.extraction.out_of_memory import Journal
from probe.extraction.sums import LayerSums, within
from tests import reference

CPU = torch.device("cpu")
NEURONS = 5
# Twelve cells of one example each: cell 1 is no part of the name of cell 11.
SERIES = np.random.default_rng(0).standard_normal((12, 2, 20, NEURONS)).astype(np.float32)
KEEP = torch.ones(1, 20, dtype=torch.bool)
MATRICES = [
    MatrixSpec("whole", [0, 1], list(range(12))),
    MatrixSpec("some", [0, 1], [1, 11]),
    MatrixSpec("layer", [1], [1, 11]),
    MatrixSpec("fisher", [1], [2, 3], "fisher"),
    MatrixSpec("pooled", [0, 1], [2, 3, 4], "pooled"),
]


class Heard:
    """Sums that remember what they were given."""

    def __init__(self) -> None:
        self.layers: list[int] = []

    def update(
        self, activations: Tensor, keep: Tensor, weight: Tensor, layer: int, *carry: object
    ) -> None:
        self.layers.append(layer)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        raise AssertionError

    def state(self) -> dict[str, Tensor]:
        return {"heard": torch.tensor(self.layers)}

    def finish(self) -> Correlation:
        raise AssertionError


def fill(sums: LayerSums, cells: range) -> LayerSums:
    for cell in cells:
        sums._journal.go_on()
        for layer in (0, 1):
            x = torch.from_numpy(SERIES[cell, layer])[None]
            sums.update(layer, cell, x, KEEP, torch.ones(1, dtype=torch.float64))
    return sums


def make() -> LayerSums:
    return LayerSums(
        "x",
        MATRICES,
        lambda scheme, layers: make_sums(scheme, False, NEURONS, len(layers), CPU),
        Journal(),
    )


def expected(matrix: MatrixSpec) -> np.ndarray:
    series = [[SERIES[cell, layer] for cell in matrix.cells] for layer in matrix.layers]
    return reference.topology(series, matrix.scheme, "example")


def test_matrices_share_the_sums_of_the_cells_that_they_have_in_common() -> None:
    made: list[tuple[str, tuple[int, ...]]] = []

    def make(scheme: str, layers: tuple[int, ...]) -> Heard:
        made.append((scheme, layers))
        return Heard()

    LayerSums("x", MATRICES, make, Journal())
    assert sorted(made) == [
        *[("fisher", (1,))] * 2, *[("mean", (0, 1))] * 12, *[("mean", (1,))] * 2,
        *[("pooled", (0, 1))] * 3,
    ]  # fmt: skip


def test_sums_hear_of_their_own_cell_and_layers_only() -> None:
    matrices = [MatrixSpec("a", [7, 3], [0]), MatrixSpec("b", [3], [1])]
    sums = LayerSums("x", matrices, lambda scheme, layers: Heard(), Journal())
    for layer in (3, 5, 7):
        for cell in (0, 1):
            sums.update(layer, cell, torch.empty(0), KEEP, torch.ones(1))
    heard = {name: tensor.tolist() for name, tensor in sums.state().items()}
    # Layers are counted in the order in which the matrix names them.
    assert heard == {"x/mean/7-3/0/heard": [1, 0], "x/mean/3/1/heard": [0]}


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.name)
def test_a_matrix_is_the_average_over_the_union_of_its_cells(matrix: MatrixSpec) -> None:
    sums = fill(make(), range(12))
    found = sums.average(matrix)
    np.testing.assert_allclose(found.matrix.numpy(), expected(matrix), atol=1e-6)


def test_putting_a_matrix_together_leaves_the_sums_as_they_were() -> None:
    sums = fill(make(), range(12))
    before = {name: tensor.clone() for name, tensor in sums.state().items()}
    for matrix in MATRICES:
        sums.average(matrix)
    after = sums.state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_states_of_other_examples_are_added_each_to_its_own() -> None:
    sums = fill(make(), range(0, 12, 2))
    sums.merge(fill(make(), range(1, 12, 2)).state())
    for matrix in MATRICES:
        found = sums.average(matrix)
        np.testing.assert_allclose(found.matrix.numpy(), expected(matrix), atol=1e-6)


def test_a_prefix_is_taken_off() -> None:
    state = {"a/b/c": torch.zeros(1), "ab/c": torch.ones(1), "a": torch.ones(2)}
    assert list(within(state, "a/")) == ["b/c"]
