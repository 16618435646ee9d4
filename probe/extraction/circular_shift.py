"""The null model: every neuron's series is shifted circularly, each by another distance."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from probe.correlation import BatchShape, MostBytes


def draw_shifts(
    seed: int, repetition: int, examples: Sequence[int], lengths: Tensor, n_neurons: int
) -> Tensor:
    """Draw the distance by which every neuron's series is shifted in every example.

    The draw depends only on the numbers of the examples, not on batches or ranks, and is the same
    for all layers, so that a neuron's series in different layers stay aligned.

    Parameters
    ----------
    seed, repetition : int
        Seed of the run and number of the null topology.
    examples : sequence of int
        Numbers of the batch's examples.
    lengths : Tensor of int64, shape (n_examples,)
        Tokens that count.
    n_neurons : int
        Number of neurons.

    Returns
    -------
    Tensor of int64, shape (n_examples, n_neurons)
        Tokens, from 1 to one less than the example's.
    """
    shifts = [
        np.random.default_rng([seed, repetition, example]).integers(1, length, n_neurons)
        for example, length in zip(examples, lengths.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(shifts))


def shift(activations: Tensor, keep: Tensor, shifts: Tensor) -> Tensor:
    """Shift every series circularly over the tokens that count.

    Parameters
    ----------
    activations : Tensor, shape (n_examples, n_tokens, n_neurons)
        Activations of a batch.
    keep : Tensor of bool, shape (n_examples, n_tokens)
        Tokens that count.
    shifts : Tensor of int64, shape (n_examples, n_neurons)
        Distances in tokens.

    Examples
    --------
    >>> x = torch.tensor([[[0.0], [1.0], [2.0], [3.0]]])
    >>> keep = torch.tensor([[False, True, True, True]])
    >>> shift(x, keep, torch.tensor([[1]])).flatten()
    tensor([0., 3., 1., 2.])
    """
    place = torch.arange(keep.shape[1], device=keep.device)
    # The tokens that count in their order, and each one's place among them.
    counted = (~keep).to(torch.uint8).argsort(dim=1, stable=True)
    rank = keep.cumsum(dim=1)[..., None] - 1
    source = (rank - shifts[:, None, :]) % keep.sum(dim=1)[:, None, None]
    source = counted[..., None].expand_as(source).gather(1, source)
    return activations.gather(1, torch.where(keep[..., None], source, place[:, None]))


def shift_bytes(batch: BatchShape, n_neurons: int) -> MostBytes:
    """Return the most bytes that `shift` takes: its result, and two int64 for each number."""
    values = batch.tokens * n_neurons
    return MostBytes(batch=4 * values + 16 * batch.rows * n_neurons, update=28 * values)
