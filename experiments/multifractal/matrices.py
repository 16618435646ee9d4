"""Matrices of a user's own: of an MLP, a convolutional network, an architecture without maps."""

from collections.abc import Sequence

from experiments.multifractal.boxes import Nodes, Rules
from experiments.multifractal.modes import MODES, Multifractal
from experiments.multifractal.network import Network, Weights
from experiments.multifractal.sampling import sample as sampled


def analyse(
    matrices: Sequence[Weights],
    *,
    sample: int | None = 64,
    samples: int = 10,
    seed: int = 0,
    mode: str = "robust",
    rules: Rules | None = None,
    first: Sequence[Multifractal] | None = None,
) -> list[Multifractal]:
    """Analyse the network that matrices make, one layer of neurons behind the other.

    Parameters
    ----------
    matrices : sequence of ndarray of float
        Each (n_inputs, n_outputs), in the order of computation; PyTorch stores the transpose.
    sample : int or None
        Neurons drawn of every layer; None takes all, once.
    samples, seed : int
        Number of networks, and the seed of the first.
    mode : str
        `robust` or `public`.
    rules : Rules, optional
        Which distances count (default: as published).
    first : sequence of Multifractal, optional
        What step 0 gave: in mode `robust` the same neurons count.

    Returns
    -------
    list of Multifractal
        By network, with `spectrum.alpha0`, `spectrum.width` and the steps to them.

    Raises
    ------
    UserError
        If the matrices are no chain, a layer has too few neurons, or nothing can be measured.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).normal(scale=0.05, size=(2, 128, 128))
    >>> found = analyse(list(weights), samples=2)
    >>> [round(one.spectrum.alpha0, 2) for one in found]
    [0.85, 0.85]
    """
    networks = (
        [Network.chain(matrices)]
        if sample is None
        else [sampled(matrices, sample, seed + number) for number in range(samples)]
    )
    kept: Sequence[Nodes | None] = [None] * len(networks)
    if first is not None:
        kept = [one.boxes.nodes for one in first]
    return [
        MODES[mode].analyse(network, rules or Rules(), nodes)
        for network, nodes in zip(networks, kept, strict=True)
    ]
