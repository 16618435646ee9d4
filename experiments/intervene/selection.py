"""Selection of neurons: by scores over the tokens of a text, or at random."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from probe.api import Factor
from probe.api.interventions import alike


def degrees(matrix: Tensor) -> Tensor:
    """Return Σ|r| of every neuron with the others, shape (n_neurons,), dimensionless."""
    return matrix.abs().sum(dim=1) - matrix.diagonal().abs()


def counts(fractions: Sequence[float], n_neurons: int) -> list[int]:
    """Return the numbers of neurons for some fractions, ascending and unique; at least one.

    Examples
    --------
    >>> counts([0.001, 0.01, 0.1], 64)
    [1, 6]
    """
    return sorted({max(1, round(fraction * n_neurons)) for fraction in fractions})


def score(name: str, activations: Tensor, value_weights: Tensor | None) -> Tensor:
    """Score the neurons of one text.

    Parameters
    ----------
    name : str
        `degree`, `degree_no_first`, `activation` (|last token|), `weighted` (L2 norm over the
        tokens times the next block's value weights), `rms` or `sd`.
    activations : Tensor, shape (n_tokens, n_neurons)
        The tokens in the correlation.
    value_weights : Tensor, shape (n_neurons,), optional
        See `value_weights`, for `weighted`.

    Returns
    -------
    Tensor, shape (n_neurons,)
        Dimensionless (degrees), or in the activations' unit.

    Notes
    -----
    Degree and weighted activation: Zheng et al. 2025, arXiv:2506.01042, ablation of hubs.
    """
    if name in ("degree", "degree_no_first"):
        series = activations if name == "degree" else activations[1:]
        return degrees(Factor.of(series).dense())
    if name == "activation":
        return activations[-1].abs()
    if name == "weighted":
        assert value_weights is not None, "weighted needs the value projection"
        norm: Tensor = torch.linalg.vector_norm(activations, dim=0)
        return norm * value_weights.to(activations.device)
    if name == "rms":
        return activations.square().mean(dim=0).sqrt()
    assert name == "sd", name
    return activations.std(dim=0, correction=0)


def choose(scores: Tensor, count: int, order: str) -> Tensor:
    """Choose neurons by their scores; ties go to the lower index.

    Returns
    -------
    Tensor of bool, shape (n_neurons,)
    """
    ranked = scores.argsort(descending=order == "highest", stable=True)
    chosen = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    chosen[ranked[:count]] = True
    return chosen


def draw(n_neurons: int, count: int, generator: np.random.Generator) -> Tensor:
    """Choose neurons at random; larger selections of one draw contain the smaller ones."""
    chosen = torch.zeros(n_neurons, dtype=torch.bool)
    chosen[torch.from_numpy(generator.permutation(n_neurons)[:count])] = True
    return chosen


def draw_alike(like: Tensor, rms: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw for every chosen neuron another one with a similar activation norm, see `alike`.

    Parameters
    ----------
    like : Tensor of bool, shape (n_neurons,)
        The chosen neurons, at most half of all.
    rms : Tensor, shape (n_neurons,)
        Norms, up to a common factor.
    """
    return torch.from_numpy(alike(like.cpu().numpy(), rms.double().cpu().numpy(), generator))
