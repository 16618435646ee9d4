"""Controls of a mask: as many units outside it, at random, of like RMS, or the loudest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from probe.errors import UserError

# The neurons of every layer that are in a mask, (n_neurons,) each.
ByLayer = Mapping[int, NDArray[np.bool_]]
Rms = Mapping[int, NDArray[np.float64]]
# Controls, in the order of tables; the first two are drawn again and again.
CONTROLS = ("random", "random_rms", "largest_rms")
DRAWN = CONTROLS[:2]
# A neuron is matched in RMS with one of this many nearest, so that draws differ.
_NEAREST = 3


def control(
    name: str, mask: ByLayer, rms: Rms, generator: np.random.Generator
) -> dict[int, NDArray[np.bool_]]:
    """Choose a control of a mask among all other neurons of its layers.

    A layer of which the mask has more than half has not as many others: the control has all of
    them, and draws what is missing from the other layers.

    Parameters
    ----------
    name : str
        `random`: in each layer as many neurons at random; `random_rms`: for each neuron one of the
        same layer and about its RMS, at random; `largest_rms`: the neurons of the largest RMS of
        all layers together, as many as the mask has.
    mask : mapping of int to ndarray of bool, shape (n_neurons,)
        Layer by layer.
    rms : mapping of int to ndarray, shape (n_neurons,)
        Over other texts, in the activations' unit.
    generator : Generator
        For the first two.

    Returns
    -------
    dict of int to ndarray of bool, shape (n_neurons,)
        As many neurons, none of them in the mask.

    Raises
    ------
    UserError
        If there are not enough neurons outside.

    Examples
    --------
    >>> mask, rms = {2: np.array([True, False, False])}, {2: np.array([9.0, 1.0, 5.0])}
    >>> control("largest_rms", mask, rms, np.random.default_rng(0))[2].tolist()
    [False, False, True]
    """
    inside = np.concatenate(list(mask.values()))
    if 2 * inside.sum() > len(inside):
        raise UserError(
            f"a mask has {inside.sum()} of the {len(inside)} neurons of its layers, so that its "
            f"controls cannot be {inside.sum()} others; give masks of at most half of them"
        )
    size = np.concatenate([rms[layer] for layer in mask])
    if name == "largest_rms":
        chosen = _largest(inside, size)
    elif name == "random_rms":
        parts = [alike(own, rms[layer], generator) for layer, own in mask.items()]
        chosen = np.concatenate(parts)
        missing = np.concatenate([_missing(own, generator) for own in mask.values()])
        _match(np.flatnonzero(missing), size, free := ~inside & ~chosen, generator)
        chosen = ~inside & ~free
    else:
        assert name == "random", name
        chosen = np.concatenate([_random(own, own.sum(), generator) for own in mask.values()])
        chosen |= _random(inside | chosen, inside.sum() - chosen.sum(), generator)
    ends = np.cumsum([len(own) for own in mask.values()])
    return dict(zip(mask, np.split(chosen, ends[:-1]), strict=True))


def from_other_layers(mask: ByLayer) -> int:
    """Return how many neurons of a mask have no counterpart in their own layer.

    Examples
    --------
    >>> from_other_layers({3: np.array([True, True, True, False]), 5: np.array([False] * 4)})
    2
    """
    return sum(max(0, 2 * int(own.sum()) - len(own)) for own in mask.values())


def _random(
    outside_of: NDArray[np.bool_], number: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose neurons at random that are not in a mask; all of them if there are fewer."""
    chosen = np.zeros_like(outside_of)
    chosen[generator.permutation(np.flatnonzero(~outside_of))[:number]] = True
    return chosen


def _missing(mask: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Choose those of a layer's masked neurons for which there is no other left in it."""
    excess = max(0, 2 * int(mask.sum()) - len(mask))
    return _random(~mask, excess, generator)


def _largest(inside: NDArray[np.bool_], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    ranked = np.argsort(np.where(inside, np.inf, -size), kind="stable")
    chosen = np.zeros_like(inside)
    chosen[ranked[: inside.sum()]] = True
    return chosen


def alike(
    mask: NDArray[np.bool_], rms: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw for every chosen neuron another one with a similar RMS.

    In random order, each chosen neuron is matched with one of the three nearest in log RMS that are
    neither chosen nor matched. If the chosen ones are the largest of all, their matches are
    smaller.

    Parameters
    ----------
    mask : ndarray of bool, shape (n_neurons,)
        The chosen neurons.
    rms : ndarray, shape (n_neurons,)
        Their RMS, up to a common factor.
    generator : Generator
        Of the draw.

    Returns
    -------
    ndarray of bool, shape (n_neurons,)
        Equally many neurons, none of them chosen; all others if these are fewer.
    """
    free = ~mask
    _match(np.flatnonzero(mask), rms, free, generator)
    matched: NDArray[np.bool_] = ~free & ~mask
    return matched


def _match(
    neurons: NDArray[np.int64],
    rms: NDArray[np.float64],
    free: NDArray[np.bool_],
    generator: np.random.Generator,
) -> None:
    """Take for each neuron, in random order, one of the free ones that are nearest in log RMS."""
    size = np.log(np.maximum(rms, np.finfo(np.float32).tiny))
    for neuron in generator.permutation(neurons)[: free.sum()]:
        candidates = np.flatnonzero(free)
        near = np.argsort(np.abs(size[candidates] - size[neuron]), kind="stable")[:_NEAREST]
        free[candidates[generator.choice(near)]] = False
