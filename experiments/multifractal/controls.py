"""What a measure of structure has to say more than: size, strength, and no structure at all."""

from dataclasses import replace
from math import sqrt

import numpy as np

from experiments.multifractal.network import Link, Network, Weights


def shuffled(network: Network, seed: int) -> Network:
    """Permute the entries of every matrix: the same weights, without structure.

    The same seed gives the same permutations, as those of other checkpoints.
    """
    generator = np.random.default_rng(seed)

    def permuted(link: Link) -> Link:
        entries = generator.permutation(link.weights.ravel())
        return replace(link, weights=entries.reshape(link.weights.shape))

    return Network(
        network.sizes,
        tuple(link if link.invented else permuted(link) for link in network.links),
    )


def norm(network: Network) -> float:
    """Return the square root of the sum of squared weights (Frobenius norm), invented ones out."""
    return sqrt(sum(float(np.square(one, dtype=np.float64).sum()) for one in _weights(network)))


def deviation(network: Network) -> float:
    """Return the root mean square of the weights, invented ones out."""
    return norm(network) / sqrt(sum(one.size for one in _weights(network)))


def mean_degree(network: Network) -> float:
    """Return the mean weighted degree: Σ|w| of the edges that leave a node.

    Over the nodes that weights leave; in units of the weights.
    """
    total = sum(float(np.abs(one, dtype=np.float64).sum()) for one in _weights(network))
    sources = {link.source for link in network.links if not link.invented}
    return total / sum(network.sizes[layer] for layer in sources)


def _weights(network: Network) -> list[Weights]:
    return [link.weights for link in network.links if not link.invented]
