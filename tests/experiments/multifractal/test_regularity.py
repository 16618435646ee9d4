"""α₀, width and emergence: what is exact, what the published rules leave to rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.multifractal.boxes import Rules
from experiments.multifractal.emergence import emergence
from experiments.multifractal.modes import MODES
from experiments.multifractal.network import Network
from experiments.multifractal.scaling import MOMENTS
from probe.api import UserError
from tests.experiments.multifractal.planted_graphs import Array, initialised, layers_of

PUBLIC, ROBUST = MODES["public"], MODES["robust"]


def test_tau_is_zero_at_zero_and_f_largest_on_both_sides_of_it() -> None:
    for seed in range(3):
        found = PUBLIC.analyse(initialised(3, 64, 0.02, 0.006, seed), Rules())
        zero = int(np.flatnonzero(MOMENTS == 0)[0])
        assert found.scaling.tau[zero] == pytest.approx(0, abs=1e-12)
        assert found.spectrum.f[[zero - 1, zero]] == pytest.approx([0, 0], abs=1e-12)
        sides = found.spectrum.alpha[[zero - 1, zero]]
        assert found.spectrum.alpha0_public in sides
        assert found.spectrum.alpha0 == pytest.approx(sides.mean(), abs=1e-12)
        assert PUBLIC.alpha0(found.spectrum) == found.spectrum.alpha0_public
        assert ROBUST.alpha0(found.spectrum) == found.spectrum.alpha0


def test_published_filters_reject_by_rounding_and_ours_do_not() -> None:
    falling, nearly, bent = [2.0, 1.5, 1.0], [1.995, 2.0, 1.0], [1.5, 2.0, 1.0]
    alpha = np.array([falling, falling, falling, nearly, bent])
    f = np.array([[-0.1, largest, -0.1] for largest in (0, 1e-16, 1e-3, 0, 0)])
    expected = {  # by filter
        "public": ["11111", "10011", "11110", "10010"],
        "robust": ["11111", "11011", "11110", "11010"],
    }
    for name, mode in MODES.items():
        for strictness, kept in enumerate(expected[name]):
            found = mode.keeps(alpha, f, strictness)
            assert found.tolist() == [one == "1" for one in kept]


def test_robust_keeps_the_nodes_of_the_first_step_and_public_does_not() -> None:
    start = initialised(3, 64, 0.0228, 0.006, 0)
    later = initialised(3, 64, 0.04, 0.012, 0)
    nodes = ROBUST.analyse(start, Rules()).boxes.nodes
    counted = {
        name: len(mode.analyse(later, Rules(), nodes).boxes.counts) for name, mode in MODES.items()
    }
    assert counted["robust"] == len(nodes.numbers) < counted["public"]


def homogeneous(rng: np.random.Generator) -> list[Array]:
    lengths = 1 / rng.uniform(2, 140, 60)
    return [np.stack([rng.permutation(lengths) for _ in range(60)]) for _ in range(4)]


def test_unlike_nodes_widen_a_homogeneous_network() -> None:
    rng = np.random.default_rng(0)
    matrices, widths = homogeneous(rng), []
    for _ in range(4):
        widths.append(PUBLIC.analyse(Network.chain(matrices), Rules()).spectrum.width)
        for matrix in matrices:
            matrix[rng.random(60) < 0.5] *= rng.uniform(1.2, 2)
    assert widths[0] < 1e-9
    assert widths[1] > 0.02
    assert (np.diff(widths) > 0).all()


def test_the_rich_getting_richer_makes_networks_more_regular() -> None:
    matrices, alpha0 = layers_of(np.random.default_rng(0), *[60] * 5), []
    for _ in range(6):
        found = ROBUST.analyse(Network.chain(matrices), Rules())
        alpha0.append(found.spectrum.alpha0)
        matrices = [each * (np.abs(each) / np.abs(each).mean()) ** 0.15 for each in matrices]
    assert (np.diff(alpha0) < 0).all()
    assert alpha0[-1] < 0.8 * alpha0[0]


positive = st.lists(st.floats(0.1, 5), min_size=4, max_size=4)


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(alpha0=positive, width=positive, by=st.floats(0.1, 10))
def test_emergence_is_zero_at_step_zero_and_free_of_scale(
    alpha0: list[float], width: list[float], by: float
) -> None:
    steps, regularity, heterogeneity = [8, 0], np.reshape(alpha0, (2, 2)), np.reshape(width, (2, 2))
    found = emergence(steps, regularity, heterogeneity)
    assert found[1] == 0
    means = regularity.mean(axis=1)
    assert np.sign(found[0]) == np.sign(np.log(means[1] / means[0]))
    for other in (
        emergence(steps, by * regularity, heterogeneity),
        emergence(steps, regularity, by * heterogeneity),
    ):
        np.testing.assert_allclose(other, found, rtol=1e-9, atol=1e-12)


def test_emergence_takes_the_ratio_of_means() -> None:
    found = emergence(
        [0, 4], np.array([[1.0, 3.0], [0.5, 1.5]]), np.array([[0.2, 0.6], [0.5, 0.3]])
    )
    assert found.tolist() == [0, pytest.approx(np.log(2))]


@pytest.mark.parametrize(
    ("steps", "alpha0", "width", "message"),
    [
        ([1, 8], [1.0, 1.0], [1.0, 1.0], "from step 0, and steps 1, 8 are given; add the checkpo"),
        ([0, 8], [1.0, 1.0], [0.0, 1.0], "all α are equal at step 0, so that emergence is undef"),
        ([0, 8], [1.0, -0.5], [1.0, 1.0], "α₀ is -0.5 at step 8, and its logarithm is undefined"),
    ],
)
def test_emergence_that_is_undefined_is_refused(
    steps: list[int], alpha0: list[float], width: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        emergence(steps, np.array(alpha0)[:, None], np.array(width)[:, None])
