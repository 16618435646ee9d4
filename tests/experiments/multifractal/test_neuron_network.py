"""Networks are checked as they are made; samples are those of the published random stream."""

import numpy as np
import pytest

from experiments.multifractal.network import Link, Network
from experiments.multifractal.published import (
    published_links,
    published_neurons,
    published_sizes,
)
from experiments.multifractal.sampling import draw, sample
from probe.api import UserError


def test_neurons_are_those_that_the_published_code_draws() -> None:
    np.random.seed(3)
    expected = []
    for _ in range(2):
        for width, size in ((96, 16), (96, 16), (96, 16), (384, 32)):
            expected.append(np.random.choice(np.arange(width), size, replace=False))
    expected.append(np.random.choice(np.arange(96), 16, replace=False))
    found = published_neurons(2, 96, 16, seed=3)
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]
    assert not np.array_equal(found[0], published_neurons(2, 96, 16, seed=4)[0])


def test_numbers_of_nodes_and_edges_are_the_published_ones() -> None:
    rng = np.random.default_rng(0)
    neurons = published_neurons(2, 128, 64, seed=0)
    shapes = ((384, 128), (128, 128), (512, 128), (128, 512))
    blocks = [[rng.normal(size=shape) for shape in shapes] for _ in range(2)]
    links = [
        link
        for number, weights in enumerate(blocks)
        for link in published_links(number, neurons, *weights)
    ]
    network = Network(published_sizes(2, 64), tuple(links))
    assert sum(network.sizes) == 512 * 2 + 64
    edges = {
        invented: sum(np.count_nonzero(link.weights) for link in links if link.invented == invented)
        for invented in (False, True)
    }
    assert edges == {False: 32768 * 2, True: 8256 * 2}
    assert len(network.without_invented().links) == 8
    inputs, value, output, hidden = neurons[4:8]
    fused, _, dense, up, down = links[5:]
    assert fused.weights[3, 64 + 7] == blocks[1][0][128 + value[7], inputs[3]]
    assert dense.weights[5, 2] == blocks[1][1][output[2], value[5]]
    assert up.weights[1, 100] == blocks[1][2][hidden[100], output[1]]
    assert down.weights[100, 9] == blocks[1][3][neurons[8][9], hidden[100]]


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
