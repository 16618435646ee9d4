"""The network of the published code: which neurons of GPT-NeoX, and which edges it invents.

Read in the code of Xiao et al. (2025), arXiv:2402.09099. It reads the fused query_key_value as
thirds, which they are not, and the blocks as a chain, which with a parallel residual they are not.
"""

from collections.abc import Sequence

import numpy as np

from experiments.multifractal.network import Link, Weights
from experiments.multifractal.sampling import Neurons, draw

LAYERS = 5  # input, qkv, attention output, dense output, hidden units of the MLP
_DRAWN = 4  # query_key_value and what attention puts out share their draw


def published_neurons(n_blocks: int, width: int, size: int, seed: int) -> list[Neurons]:
    """Draw the neurons of a sample in the published order.

    Of every block: input, value and dense output (size of width), hidden (twice that of 4 × width);
    at the end as many outputs of the last block.

    Raises
    ------
    UserError
        If a sample is larger than a layer.
    """
    blocks = [1, 1, 1, 2] * n_blocks + [1]
    widths = [width, width, width, 4 * width] * n_blocks + [width]
    return draw(widths, [size * times for times in blocks], seed)


def published_sizes(n_blocks: int, size: int) -> tuple[int, ...]:
    """Return the numbers of nodes of all layers."""
    return (size, 3 * size, size, size, 2 * size) * n_blocks + (size,)


def published_links(
    block: int,
    neurons: Sequence[Neurons],
    query_key_value: Weights,
    dense: Weights,
    up: Weights,
    down: Weights,
) -> list[Link]:
    """Return the links of one block.

    Parameters
    ----------
    block : int
        Number of the block.
    neurons : sequence of ndarray of int64
        All that `published_neurons` drew.
    query_key_value, dense, up, down : ndarray of float
        Weights as GPT-NeoX stores them, shapes (3 width, width), (width, width), (4 width, width),
        (width, 4 width).
    """
    inputs, value, output, hidden, following = neurons[_DRAWN * block :][: _DRAWN + 1]
    width, size = len(dense), len(value)
    thirds = np.concatenate([value, value + width, value + 2 * width])
    invented = np.vstack([np.eye(size), np.ones((2 * size, size))])
    first = LAYERS * block
    return [
        Link(first, first + 1, query_key_value[np.ix_(thirds, inputs)].T),
        Link(first + 1, first + 2, invented, invented=True),
        Link(first + 2, first + 3, dense[np.ix_(output, value)].T),
        Link(first + 3, first + 4, up[np.ix_(hidden, output)].T),
        Link(first + 4, first + 5, down[np.ix_(following, hidden)].T),
    ]
