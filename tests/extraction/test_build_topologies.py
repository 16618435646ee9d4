"""Topologies know their noise, their halves, their layers and their null, by hand and by NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from probe.config import (
    AverageConfig,
    Config,
    DataConfig,
    InitConfig,
    InitKind,
    ModelConfig,
    Site,
    SubjectConfig,
    Weight,
)
from probe.correlation import Correlation
from probe.examples.batches import Batch
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.build_topologies import build_topologies
from probe.extraction.extracted import Extracted, ExtractedMatrix
from probe.topology import Topology
from probe.topology.reliability import Reliability
from tests.topologies import random_correlations

NEURONS = 9
UPPER = np.triu_indices(NEURONS, 1)
CONFIG = Config(
    model=ModelConfig(id="Org/Name"),
    data=DataConfig(source="text", path="mine.txt", skip_first=2),
    subject=SubjectConfig(name="law"),
    init=InitConfig(kind=InitKind.random),
    site=Site.attention,
)
# 10, 20 and 40 tokens in cell 0, 30 in cell 1; two of each do not count.
BATCHES = [
    Batch([3, 0], [[1] * 40, [1] * 10], 0),
    Batch([1], [[1] * 20], 0),
    Batch([2], [[1] * 30], 1),
]
COUNTED = np.array([38, 8, 18])


def matrix(seed: int, undefined: tuple[int, ...] = ()) -> Tensor:
    r = np.asarray(random_correlations(NEURONS, seed)).astype(np.float32)
    r[list(undefined)] = 0
    r[:, list(undefined)] = 0
    return torch.from_numpy(r)


def mask(*undefined: int) -> Tensor:
    found = torch.zeros(NEURONS, dtype=torch.bool)
    found[list(undefined)] = True
    return found


def extracted(name: str, parts: dict[str, Tensor]) -> Extracted:
    halves = [n for n in (0, 1) if f"half{n}" in parts]
    matrix = ExtractedMatrix(
        Correlation(parts["matrix"], parts["undefined"]),
        standard_error=parts.get("standard_error"),
        halves=[Correlation(parts[f"half{n}"], parts[f"undefined{n}"]) for n in halves],
        nulls=[tensor for part, tensor in parts.items() if part.startswith("null")],
        agreement=parts.get("agreement"),
    )
    return Extracted(examples=4, tokens=92, out_of_memory=0, matrices={name: matrix})


def one(wanted: MatrixSpec, found: dict[str, Tensor] | None = None, **average: Any) -> Topology:
    config = replace(CONFIG, average=AverageConfig(**average))
    request = Request(config, [3], BATCHES, ["d"] * 4, "run", [wanted])
    found = {"matrix": matrix(0), "undefined": mask()} | (found or {})
    (topology,) = build_topologies(request, extracted(wanted.name, found))
    return topology


def known(*of: Any, **average: Any) -> Reliability:
    reliability = one(*of, **average).reliability
    assert reliability is not None
    return reliability


@pytest.mark.parametrize(
    ("scheme", "weight", "noise"),
    [
        # The variance of r over T tokens of white noise is 1/(T - 1); of three means, a ninth.
        ("mean", "example", (1 / 37 + 1 / 7 + 1 / 17) / 9),
        ("fisher", "example", (1 / 35 + 1 / 5 + 1 / 15) / 9),
        ("mean", "token", (38**2 / 37 + 8**2 / 7 + 18**2 / 17) / 64**2),
        ("fisher", "token", (38**2 / 35 + 8**2 / 5 + 18**2 / 15) / 64**2),
        # All tokens weigh the same: one correlation over 64 of them.
        ("pooled", "token", 1 / 64),
        # A token weighs 1/T: Σ w² / (Σ w)² with Σ w = 3.
        ("pooled", "example", (38 / 38**2 + 8 / 8**2 + 18 / 18**2) / 9),
    ],
)
def test_noise_is_that_of_white_series(scheme: str, weight: str, noise: float) -> None:
    found = known(MatrixSpec("x", [3], [0], scheme), weight=Weight(weight))
    assert found.noise == pytest.approx(noise, rel=1e-12)
    assert found.tokens == 64


def test_pooled_noise_is_that_of_simulated_series() -> None:
    rng = np.random.default_rng(0)
    found = known(MatrixSpec("x", [3], [0], "pooled"), weight=Weight.token)
    r = np.corrcoef(rng.standard_normal((300, 64)))[np.triu_indices(300, 1)]
    assert found.noise == pytest.approx(r.var(), rel=0.05)


def test_a_matrix_counts_the_examples_of_its_cells_only() -> None:
    second = one(MatrixSpec("x", [3], [1]))
    both = one(MatrixSpec("x", [3], [0, 1]))
    assert (second.examples, both.examples) == (1, 4)
    assert second.reliability is not None
    assert both.reliability is not None
    assert (second.reliability.tokens, both.reliability.tokens) == (28, 64 + 28)
    assert second.reliability.noise == pytest.approx(1 / 27)


def test_a_fisher_mean_of_three_tokens_has_a_noise() -> None:
    request = Request(CONFIG, [3], [Batch([0], [[1] * 5], 0)], ["d"], "run", [])
    request = replace(request, matrices=[MatrixSpec("x", [3], [0], "fisher")])
    (topology,) = build_topologies(
        request, extracted("x", {"matrix": matrix(0), "undefined": mask()})
    )
    assert topology.reliability is not None
    assert np.isfinite(topology.reliability.noise)


HALVED = MatrixSpec("x", [3], [0, 1], halves=True)


def halves(first: Tensor, second: Tensor, *undefined: tuple[int, ...]) -> dict[str, Tensor]:
    out = undefined or ((), ())
    return {
        "half0": first, "half1": second, "undefined0": mask(*out[0]), "undefined1": mask(*out[1]),
    }  # fmt: skip


def test_halves_are_correlated_over_pairs_of_neurons() -> None:
    first, second = matrix(1), 0.7 * matrix(1) + 0.3 * matrix(2)
    found = known(HALVED, halves(first, second))
    r = stats.pearsonr(first.numpy()[UPPER], second.numpy()[UPPER]).statistic
    assert found.split_half == pytest.approx(r, abs=1e-6)


def test_the_numbers_of_each_half_are_its_own() -> None:
    pair = (matrix(1), matrix(2))
    found = known(HALVED, halves(*pair))
    assert len(found.halves) == 2
    for numbers, half in zip(found.halves, pair, strict=True):
        r = half.numpy()[UPPER].astype(np.float64)
        square = half.numpy().astype(np.float64)
        assert numbers["mean_abs_r"] == pytest.approx(np.abs(r).mean())
        assert numbers["mean_r"] == pytest.approx(r.mean())
        assert numbers["mean_r2"] == pytest.approx((r**2).mean())
        assert numbers["share_above_0.3"] == pytest.approx((np.abs(r) > 0.3).mean())
        assert numbers["strength_mean"] == pytest.approx(np.abs(r).sum() * 2 / NEURONS)
        assert numbers["participation_ratio"] == pytest.approx(NEURONS**2 / (square**2).sum())


def test_neurons_that_a_half_lacks_are_left_out_of_the_comparison_and_of_its_numbers() -> None:
    first, second = matrix(1, (0, 4)), matrix(2, (4, 7))
    found = known(HALVED, halves(first, second, (0, 4), (4, 7)))
    kept = np.ix_([1, 2, 3, 5, 6, 8], [1, 2, 3, 5, 6, 8])
    upper = np.triu_indices(6, 1)
    r = stats.pearsonr(first.numpy()[kept][upper], second.numpy()[kept][upper]).statistic
    assert found.split_half == pytest.approx(r, abs=1e-6)
    own = np.delete(np.delete(first.numpy(), [0, 4], 0), [0, 4], 1)[np.triu_indices(7, 1)]
    assert found.halves[0]["mean_abs_r"] == pytest.approx(np.abs(own).mean(), rel=1e-6)


def test_halves_without_two_neurons_in_common_are_not_compared() -> None:
    lost = tuple(range(1, NEURONS))
    found = known(HALVED, halves(matrix(1, lost), matrix(2), lost, ()))
    assert found.split_half is None
    assert len(found.halves) == 2


def test_without_halves_there_are_none() -> None:
    found = known(MatrixSpec("x", [3], [0, 1]))
    assert (found.split_half, found.halves) == (None, [])


def test_every_layer_of_a_mean_has_its_agreement() -> None:
    agreement = torch.tensor([0.91236, float("nan"), -0.5])
    found = known(MatrixSpec("x", [2, 5, 11], [0]), {"agreement": agreement})
    assert found.layer_agreement == {"2": 0.9124, "11": -0.5}
    assert known(MatrixSpec("x", [2], [0])).layer_agreement == {}


def test_a_null_is_summed_up_over_all_shifts_without_undefined_neurons() -> None:
    nulls = {f"null{n}": matrix(10 + n, (2,)) for n in range(3)}
    found = known(MatrixSpec("x", [3], [0]), nulls | {"undefined": mask(2)})
    kept = np.delete(np.arange(NEURONS), 2)
    r = np.concatenate(
        [n.numpy()[np.ix_(kept, kept)][np.triu_indices(8, 1)] for n in nulls.values()]
    ).astype(np.float64)
    assert found.null is not None
    assert found.null.shifts == 3
    assert found.null.mean_abs_r == pytest.approx(np.abs(r).mean(), rel=1e-9)
    assert found.null.quantiles["0.95"] == pytest.approx(np.quantile(np.abs(r), 0.95), rel=1e-6)
    assert sum(found.null.counts) == 3 * 28


def test_without_shifts_there_is_no_null() -> None:
    assert known(MatrixSpec("x", [3], [0])).null is None


def test_a_topology_says_where_it_comes_from() -> None:
    topology = one(
        MatrixSpec("layer_3_part2", [3], [0, 1], "fisher", 2, 5),
        {"undefined": mask(1, 6), "standard_error": matrix(4)},
        weight=Weight.token,
    )
    np.testing.assert_array_equal(topology.matrix, matrix(0).numpy())
    np.testing.assert_array_equal(topology.standard_error, matrix(4).numpy())
    assert (topology.name, topology.layers) == ("layer_3_part2", (3,))
    assert (topology.part, topology.parts, topology.examples) == (2, 5, 4)
    assert (topology.scheme, topology.weight, topology.undefined) == ("fisher", "token", (1, 6))
    assert (topology.site, topology.model, topology.data) == ("attention", "Name", "mine")
    assert (topology.subject, topology.init) == ("law", "random")


def test_matrices_come_in_the_order_in_which_they_were_wanted() -> None:
    wanted = [MatrixSpec("b", [3], [0]), MatrixSpec("a", [3], [1])]
    request = Request(CONFIG, [3], BATCHES, ["d"] * 4, "run", wanted)
    matrices = {
        name: ExtractedMatrix(Correlation(matrix(seed), mask())) for seed, name in enumerate("ab")
    }
    result = Extracted(examples=4, tokens=92, out_of_memory=0, matrices=matrices)
    found = build_topologies(request, result)
    assert [topology.name for topology in found] == ["b", "a"]
    np.testing.assert_array_equal(found[0].matrix, matrix(1).numpy())
