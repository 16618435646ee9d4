"""Which neurons are sampled: a few of every layer, the same at every checkpoint."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.multifractal.network import Network, Weights, widths
from probe.api import UserError

Neurons = NDArray[np.int64]


def draw(widths: Sequence[int], sizes: Sequence[int], seed: int) -> list[Neurons]:
    """Draw neurons of every layer without replacement, one layer after the other.

    The published code seeds NumPy's legacy generator with the number of the sample, and so do we:
    the same neurons come out.

    Parameters
    ----------
    widths, sizes : sequence of int
        Numbers of neurons of every layer, and how many to draw.
    seed : int
        Of the generator.

    Returns
    -------
    list of ndarray of int64, each of shape (size,)
        Neurons in the order of drawing.

    Raises
    ------
    UserError
        If a sample is larger than its layer.

    Examples
    --------
    >>> [neurons.tolist() for neurons in draw([8, 4], [3, 2], seed=0)]
    [[6, 2, 1], [3, 0]]
    """
    generator = np.random.RandomState(seed)
    drawn = []
    for width, size in zip(widths, sizes, strict=True):
        if size > width:
            raise UserError(
                f"a sample of {size} neurons is larger than its layer of {width}; draw fewer"
            )
        drawn.append(generator.choice(width, size, replace=False))
    return drawn


def sample(matrices: Sequence[Weights], size: int, seed: int) -> Network:
    """Draw as many neurons of every layer of a chain of matrices (n_inputs, n_outputs).

    Raises
    ------
    UserError
        If the matrices are no chain, or a layer has fewer neurons.
    """
    layers = widths(matrices)
    drawn = draw(layers, [size] * len(layers), seed)
    return Network.chain(
        [
            matrix[np.ix_(inputs, outputs)]
            for matrix, inputs, outputs in zip(matrices, drawn[:-1], drawn[1:], strict=True)
        ]
    )
