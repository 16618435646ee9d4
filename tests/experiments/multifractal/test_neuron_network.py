"""Networks are checked as they are made; samples are those of the published random stream."""

import numpy as np
import pytest

from benchmarks.neox import published_layout, random_blocks, weights_of
from benchmarks.published_multifractal import sampled
from experiments.multifractal.network import Link, Network
from experiments.multifractal.reading import network, neurons
from experiments.multifractal.sampling import draw, sample
from probe.api import UserError


def test_neurons_are_those_that_the_published_code_draws() -> None:
    found = neurons(published_layout(2, 128), 16, seed=3)
    expected = sampled(2, 128, 16, seed=3)
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]
    assert not np.array_equal(found[0], neurons(published_layout(2, 128), 16, seed=4)[0])


def test_numbers_of_nodes_and_edges_are_the_published_ones() -> None:
    layout, blocks = published_layout(2, 128), list(random_blocks(2, 128, (0.02, 0.01)))
    network_here = network(weights_of(blocks), layout, neurons(layout, 64, seed=0))
    assert sum(network_here.sizes) == 512 * 2 + 64
    edges = {
        invented: sum(
            np.count_nonzero(link.weights)
            for link in network_here.links
            if link.invented == invented
        )
        for invented in (False, True)
    }
    assert edges == {False: 32768 * 2, True: 8256 * 2}
    assert len(network_here.without_invented().links) == 8


def test_a_sample_of_matrices_holds_their_entries() -> None:
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=(30, 20)), rng.normal(size=(20, 40))]
    rows, columns, last = draw([30, 20, 40], [8, 8, 8], seed=1)
    network = sample(matrices, 8, seed=1)
    assert network.sizes == (8, 8, 8)
    assert np.array_equal(network.links[0].weights, matrices[0][rows][:, columns])
    assert np.array_equal(network.links[1].weights, matrices[1][columns][:, last])


def test_a_sample_larger_than_a_layer_is_refused() -> None:
    with pytest.raises(UserError, match=r"sample of 9 neurons is larger than its layer of 4; draw"):
        sample([np.ones((10, 4))], 9, seed=0)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (Link(1, 0, np.ones((3, 2))), "layer 1 to layer 0 go backwards; order the layers"),
        (Link(0, 1, np.ones((3, 2))), r"layer 0 to layer 1 have shape \(3, 2\), not \(2, 3\)"),
        (Link(0, 1, np.full((2, 3), np.nan)), "are not all finite; the checkpoint is damaged"),
    ],
)
def test_links_that_do_not_fit_are_refused(link: Link, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Network((2, 3), (link,))


def test_matrices_that_are_no_chain_are_refused() -> None:
    with pytest.raises(UserError, match=r"matrix 1 has shape \(4, 3\), but the one before it \(2,"):
        Network.chain([np.ones((2, 3)), np.ones((4, 3))])
    for none in ([], [np.ones(3)]):
        with pytest.raises(UserError, match="needs a sequence of matrices"):
            Network.chain(none)


def test_distances_are_float64_of_the_stored_weight() -> None:
    weights = np.array([[0.1, -0.3, 0.0]], dtype=np.float32)
    found = Link(0, 1, weights).distances(scale=2.0)
    expected = [2 / abs(float(weights[0, 0])), 2 / abs(float(weights[0, 1])), np.inf]
    assert found.tolist() == [expected]
    assert Link(0, 1, np.ones((1, 1)), invented=True).distances(scale=2.0).tolist() == [[1.0]]
