"""On which device sums live."""

import logging
from collections.abc import Sequence

import pytest
import torch

from probe.config import Config, DataConfig, Scheme
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction import placement
from probe.extraction.accumulator import Accumulator
from probe.extraction.placement import Placement

CPU, META = torch.device("cpu"), torch.device("meta")
GPU, OTHER = torch.device("cuda:0"), torch.device("cuda:1")


def test_sums_live_with_their_first_layer_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(placement, "free_memory", lambda device: 150)
    place = Placement({0: GPU, 1: GPU, 2: OTHER}, batch=50)
    assert [place([0], 60), place([1, 2], 60), place([2, 0], 60)] == [GPU, CPU, OTHER]
    assert place([1], 40) == GPU
    assert place.on_host == 60
    with caplog.at_level(logging.INFO):
        place.log_on_host()
    assert "host memory" in caplog.text


def test_a_host_alone_has_nothing_to_choose(caplog: pytest.LogCaptureFixture) -> None:
    place = Placement({0: CPU, 1: torch.device("mps")}, batch=0)
    assert [place([0], 1 << 60), place([1], 1 << 60)] == [CPU, CPU]
    with caplog.at_level(logging.INFO):
        place.log_on_host()
    assert not caplog.records


@pytest.mark.parametrize(
    ("kind", "layers", "n_bytes"),
    [
        # Moments, four vectors and a weight for each layer.
        ("layer", (0, 1, 2), 3 * 8 * (20**2 + 4 * 20 + 1)),
        # A matrix, two vectors and a weight; with the later layer, whose series come last.
        ("cross", (1,), 8 * (20**2 + 2 * 20 + 1)),
    ],
)
def test_sums_are_placed_by_their_layers_and_bytes(
    kind: str, layers: tuple[int, ...], n_bytes: int
) -> None:
    asked: list[tuple[tuple[int, ...], int]] = []

    def place(layers: Sequence[int], size: int) -> torch.device:
        asked.append((tuple(layers), size))
        return META

    scheme = "pooled" if kind == "layer" else "mean"
    matrix = MatrixSpec("one", [0, 1, 2] if kind == "layer" else [0, 1], [0], scheme, kind=kind)
    config = Config(data=DataConfig(source="text"))
    config.average.scheme = Scheme(scheme)
    request = Request(config, [0, 1, 2], [Batch([0], [[1] * 9])], ["a"], "test", [matrix])
    sums = Accumulator(request, 20, CPU, place)
    parts = [*(tokens.matrices for tokens in sums.sets.values()), sums.pairs]
    state = {name: tensor for part in parts for name, tensor in part.state().items()}
    assert {tensor.device for tensor in state.values() if tensor.ndim} == {META}
    assert (layers, n_bytes) in asked
